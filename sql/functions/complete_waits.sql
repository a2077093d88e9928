-- Writes that waiting steps, locked by the caller, have completed: begin_wait has noted their start, and why they waited is over.
-- By ctid alone, see complete_steps.
create or replace function tributary.complete_waits(p_shard smallint, p_tids tid[], p_results jsonb[], p_now timestamptz) returns void
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
    set state = 'completed', process_id = null, finished_at = p_now, result = done.result, reason = null
    from unnest(p_tids, p_results) as done(tid, result)
    where s.ctid = done.tid and s.shard = p_shard;
end $$;
