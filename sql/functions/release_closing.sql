-- All steps of these runs have ended: the closing step becomes available (it evaluates result), or is skipped when the run failed.
create or replace function tributary.release_closing(
    p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_states run_state[], p_now timestamptz, p_queues text[], p_free integer
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
as $$
declare
    v_tids tid[];
    v_failed boolean[];
    v_queues text[];
    v_us bigint;
begin
    select array_agg(held.tid), array_agg(u.state = 'failed') into v_tids, v_failed
    from unnest(p_run_ids, p_ordinals, p_states) as u(run_id, ordinal, state)
    cross join lateral (
        select s.ctid as tid, s.state from steps s
        where s.shard = p_shard and s.run_id = u.run_id and s.ordinal = u.ordinal
        for update offset 0
    ) as held
    where held.state = 'blocked';
    v_us := clock_us();
    with released as (
        update steps s
        set unmet = 0, state = case when u.failed then 'skipped' else 'available' end::step_state,
            reason = case when u.failed then 'upstream' end, finished_at = case when u.failed then p_now end,
            seq = greatest(s.seq + 1, v_us + u.i)
        from unnest(v_tids, v_failed) with ordinality as u(tid, failed, i)
        where s.ctid = u.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(r.queue) filter (where r.state = 'available') into v_queues from released r;
    if cardinality(v_queues) > p_free or not v_queues <@ p_queues then
        perform wake(v_queues);
    end if;
end $$;
