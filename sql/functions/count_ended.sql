-- Takes ended steps off the counters of their runs; a run with nothing left ends, or releases its closing step.
-- The caller holds the root runs' locks.
create or replace function tributary.count_ended(
    p_shard smallint, p_run_ids uuid[], p_ends smallint[], p_now timestamptz, p_queues text[], p_free integer
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
begin
    select array_agg(held.tid), array_agg(ended.n), array_agg(ended.failed), array_agg(ended.warned)
    into v_tids, v_counts, v_failed, v_warned
    from (
        select u.run_id, count(*)::integer as n, count(*) filter (where u.how = 2)::integer as failed,
               count(*) filter (where u.how = 1)::integer as warned
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
    select array_agg(c.run_id), array_agg(c.closing_ordinal), array_agg(c.state)
    into v_closing_runs, v_closing, v_states
    from count_runs(p_shard, v_tids, v_counts, v_failed, v_warned, p_now) as c where c.remaining = 0 and c.closing_ordinal is not null;
    if v_closing_runs is not null then
        perform release_closing(p_shard, v_closing_runs, v_closing, v_states, p_now, p_queues, p_free);
    end if;
end $$;
