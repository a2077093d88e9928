-- The one statement of an idle supervisor: beats for the worker and its processes, tells whether there is work, and when the next is due.
-- alive is false when the worker's row is gone: it was fenced, its processes must stop and register anew.
create or replace function tributary.supervise(
    p_worker bigint, p_processes bigint[], p_queues text[], p_wants_wake boolean, p_state text
) returns table (alive boolean, beaten integer, ready text[], due_in float8, paused text[])
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_bitmapscan to off
set enable_seqscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock();
    v_alive boolean;
    v_beaten integer;
    v_shut text[];
begin
    update workers w set beat_at = v_now, wants_wake = p_wants_wake, state = p_state where w.worker_id = p_worker;
    v_alive := found;
    update processes p set beat_at = v_now where p.process_id = any (p_processes);
    get diagnostics v_beaten = row_count;
    -- who is full, or has to wait for its rate, is no news
    v_shut := array(select q.name from queues q
                    where q.name = any (p_queues) and (q.concurrency is not null or q.rate is not null)
                      and queue_opens(q.name) is distinct from 0);
    return query
        select v_alive, v_beaten,
               array(select q.name
                     from unnest(p_queues) as q(name)
                     -- a probe each: asked whether any exists, a planner that knows of many reads them all
                     cross join lateral (
                         select from generate_series(0, shard_count() - 1) as n(shard)
                         cross join lateral (select from steps s where s.shard = n.shard::smallint and s.queue = q.name and s.state = 'available'
                                             limit 1) as probe
                         limit 1) as found
                     where q.name <> all (v_shut)),
               (select extract(epoch from min(next.at) - v_now)::float8
                from generate_series(0, shard_count() - 1) as n(shard)
                cross join lateral (
                    (select s.run_at as at from steps s where s.shard = n.shard::smallint and s.state = 'scheduled' order by s.run_at limit 1)
                    union all
                    (select w.due_at from waits w where w.shard = n.shard::smallint and w.due_at is not null order by w.due_at limit 1)
                ) as next),
               array(select q.name from queues q where q.paused and q.name = any (p_queues));
end $$;
