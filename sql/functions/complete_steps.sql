-- Writes the completion of rows that the caller has locked. The settings leave one plan: rows are reached by ctid, never by a join
-- over an index of the shard, whatever the planner believes about a table it has never analyzed.
create or replace function tributary.complete_steps(p_shard smallint, p_tids tid[], p_results text[], p_elapsed float8[], p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
as $$
begin
    update steps s
    -- a running step has no reason, a waiting one has: what it waited for
    set state = 'completed', process_id = null, finished_at = p_now, reason = null,
        result = case when s.kind <> 'closing' then done.result::jsonb end,
        started_at = coalesce(s.started_at, least(s.claimed_at + make_interval(secs => done.elapsed), p_now))
    from unnest(p_tids, p_results, p_elapsed) as done(tid, result, elapsed)
    where s.ctid = done.tid and s.shard = p_shard;
end $$;
