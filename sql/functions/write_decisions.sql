-- Takes ended needs off these blocked steps, locked by the caller, who has decided what becomes of each: it stays as it is, or is
-- available, scheduled, waiting, or skipped because a need ended badly; or running, by the process that goes on with it (find_next_in_line), as
-- write_claims would have it. p_bad: how many ended so. tid is where the row lies afterwards. By ctid alone, see complete_steps.
drop function if exists tributary.write_decisions(smallint, tid[], integer[], integer[], timestamptz[], step_state[], timestamptz);
create or replace function tributary.write_decisions(
    p_shard smallint, p_tids tid[], p_counts integer[], p_bad integer[], p_run_ats timestamptz[], p_states step_state[], p_now timestamptz, p_process bigint
) returns table (run_id uuid, ordinal integer, state step_state, queue text, name text, n integer, bad integer, tid tid)
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
#variable_conflict use_column
declare
    v_us bigint := clock_us();
begin
    return query
        update steps s
        -- a workflow function is not kept waiting for the rest when something has ended badly
        set unmet = case when child.state in ('available', 'scheduled', 'running') then 0 else greatest(s.unmet - child.n, 0) end,
            flags = case when child.bad > 0 then s.flags | 2 else s.flags end,
            run_at = child.run_at, state = child.state,
            reason = case when child.state = 'skipped' then 'upstream'
                          when child.state = 'running' then null
                          when s.reason = 'steps' and child.state = 'waiting' and s.flags & 64 = 64 and (s.unmet <= child.n or child.bad > 0) then 'paused'
                          when s.reason = 'steps' and child.state <> 'waiting' then null
                          when s.unmet > child.n or s.reason = 'no_handler' then s.reason
                          when child.state = 'waiting' then case when s.flags & 64 = 64 then 'paused' else 'parallel' end
                          when s.reason = 'items' then null
                          else s.reason end,
            finished_at = case when child.state = 'skipped' then p_now end,
            seq = case when child.state in ('available', 'running') then greatest(s.seq + 1, v_us + child.i) else s.seq end,
            process_id = case when child.state = 'running' then p_process end,
            claimed_at = case when child.state = 'running' then p_now else s.claimed_at end,
            started_at = case when child.state <> 'running' then s.started_at end,
            attempt = s.attempt + (child.state = 'running')::integer
        from unnest(p_tids, p_counts, p_bad, p_run_ats, p_states) with ordinality as child(tid, n, bad, run_at, state, i)
        where s.ctid = child.tid and s.shard = p_shard
        returning s.run_id, s.ordinal, s.state, s.queue, s.name, child.n, child.bad, s.ctid;
end $$;
