-- Takes or renews the lease of the role maintenance, as lead does, and tells its holder what there is to do: the one statement of a
-- leader without work. Answers are hints, taken without locks; whatever does the work looks again. p_expected as in rescue_dead, p_silent
-- as in tidy; without p_silent only the dead are looked for. The dead cost a probe per process that holds something.
-- Index: steps_running, steps_due, waits_due, steps_expiring, steps_no_handler, steps_ready, runs_private, runs_deadline, groups_unsettled,
-- group_slots_news.
create or replace function tributary.attend(
    p_worker bigint, p_seconds float8, p_lease interval, p_expected timestamptz, p_silent interval
) returns table (leads boolean, dead boolean, due boolean, waiting boolean, abandoned boolean)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    -- a value: compared with a volatile clock() no index could end a scan
    v_now timestamptz := clock();
    v_shard smallint;
begin
    dead := false; due := false; waiting := false; abandoned := false;
    leads := lead('maintenance', p_worker, p_seconds);
    if not leads then
        return next;
        return;
    end if;
    for v_shard in select generate_series(0, shard_count() - 1) loop
        dead := dead or exists (
            with recursive holder (id) as (
                select min(s.process_id) from steps s where s.shard = v_shard and s.state = 'running'
                union all
                select (select min(s.process_id) from steps s
                        where s.shard = v_shard and s.state = 'running' and s.process_id > holder.id)
                from holder where holder.id is not null
            )
            select from holder h
            where h.id is not null
              and not exists (select from processes p where p.process_id = h.id
                                and (p.beat_at between v_now - p_lease and v_now + p_lease
                                     or p.beat_at between p_expected - p_lease and p_expected + p_lease)));
        if p_silent is not null then
            due := due or exists (select from steps s where s.shard = v_shard and s.state = 'scheduled' and s.run_at <= v_now)
                or exists (select from waits w where w.shard = v_shard and w.due_at <= v_now and w.due_at is not null)
                or exists (select from steps s where s.shard = v_shard and s.expires_at <= v_now and s.expires_at is not null and s.attempt = 0
                             and s.state in ('blocked', 'scheduled', 'available', 'waiting'));
            waiting := waiting or exists (
                select from registry r
                -- a probe each: asked whether any exists, a planner that knows of many reads them all
                cross join lateral (select from steps s where s.shard = v_shard and s.name = r.name and s.reason = 'no_handler' limit 1) as found
                where r.offered_at is not null);
            abandoned := abandoned
                or exists (select from runs r where r.shard = v_shard and r.deadline <= v_now)
                or exists (select from runs r
                           where r.shard = v_shard and r.runner_id is not null and r.state in ('running', 'paused')
                             and not exists (select from workers w
                                             where w.worker_id = r.runner_id and w.beat_at > v_now - interval '15 seconds'))
                or exists (
                    with recursive private (queue) as (
                        select min(s.queue) from steps s where s.shard = v_shard and s.state = 'available' and s.queue >= '@' and s.queue < 'A'
                        union all
                        select (select min(s.queue) from steps s
                                where s.shard = v_shard and s.state = 'available' and s.queue > private.queue and s.queue < 'A')
                        from private where private.queue is not null
                    )
                    select from private q
                    where q.queue is not null
                      and not exists (select from workers w where q.queue = any (w.queues) and w.beat_at > v_now - interval '15 seconds'));
        end if;
    end loop;
    if p_silent is not null then
        due := due or exists (select from groups g where g.unsettled)
            or exists (select from generate_series(0, shard_count() - 1) as n(shard)
                       join group_slots g on g.shard = n.shard::smallint and (g.state = 'left' or g.ousted));
        abandoned := abandoned
            or exists (select from workers w where w.beat_at < v_now - p_silent)
            or exists (select from processes p where p.beat_at < v_now - p_silent);
    end if;
    return next;
end $$;
