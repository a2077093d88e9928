-- Takes ended steps off the counters of their runs; a run with nothing left ends, or releases its closing step.
-- The caller holds the root runs' locks.
create or replace function tributary.count_ended(
    p_shard smallint, p_run_ids uuid[], p_ends smallint[], p_now timestamptz, p_queues text[], p_names text[], p_free integer
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
as $$
declare
    v_tids tid[];
    v_counts integer[];
    v_failed integer[];
    v_warned integer[];
    v_closing_runs uuid[];
    v_closing integer[];
    v_states run_state[];
    v_special_runs uuid[];
    v_remaining integer[];
    v_failures integer[];
    v_flags smallint[];
    v_parallel smallint[];
    i integer;
begin
    select array_agg(held.tid), array_agg(ended.n), array_agg(ended.failed), array_agg(ended.warned)
    into v_tids, v_counts, v_failed, v_warned
    from (
        select u.run_id, count(*)::integer as n, count(*) filter (where u.how = 2)::integer as failed,
               count(*) filter (where u.how in (1, 4, 6))::integer as warned
        from unnest(p_run_ids, p_ends) as u(run_id, how)
        group by u.run_id
    ) as ended
    cross join lateral (
        select r.ctid as tid, r.state from runs r where r.shard = p_shard and r.run_id = ended.run_id for update offset 0
    ) as held
    where held.state in ('running', 'paused');
    if v_tids is null then
        return;
    end if;
    select array_agg(c.run_id) filter (where not c.special), array_agg(c.closing_ordinal) filter (where not c.special),
           array_agg(c.state) filter (where not c.special),
           array_agg(c.run_id) filter (where c.special), array_agg(c.remaining) filter (where c.special),
           array_agg(c.failed) filter (where c.special), array_agg(c.flags) filter (where c.special),
           array_agg(c.max_parallel) filter (where c.special)
    into v_closing_runs, v_closing, v_states, v_special_runs, v_remaining, v_failures, v_flags, v_parallel
    from count_runs(p_shard, v_tids, v_counts, v_failed, v_warned, p_now) as c
    where c.special or (c.remaining = 0 and c.closing_ordinal is not null);
    perform tell_waiters(p_shard, p_run_ids);
    if v_closing_runs is not null then
        perform release_closing(p_shard, v_closing_runs, v_closing, v_states, p_now, p_queues, p_free);
    end if;
    for i in 1 .. coalesce(cardinality(v_special_runs), 0) loop
        if v_remaining[i] = 0 then
            perform advance_run(p_shard, v_special_runs[i], p_now, p_queues, p_names, p_free);
        elsif v_flags[i] & 1 = 1 and v_failures[i] > 0
                -- its child may have been advanced just now, and the run with it
                and exists (select from runs r where r.shard = p_shard and r.run_id = v_special_runs[i] and r.ending is null) then
            perform stop_run(p_shard, v_special_runs[i], 'failed', 'cancelled', 'fail_fast', null, p_now);
        elsif v_flags[i] & 32 = 32 then
            perform wake(fill_run(p_shard, v_special_runs[i], v_parallel[i], p_now));
        end if;
    end loop;
end $$;
