-- Writes the counters of runs that the caller has locked, and their end where nothing remains. A special run (it has flags, a parent, or
-- was stopped) is not ended here: advance_run and others see to it. By ctid alone, see complete_steps.
create or replace function tributary.count_runs(
    p_shard smallint, p_tids tid[], p_counts integer[], p_failed integer[], p_warned integer[], p_now timestamptz
) returns table (run_id uuid, remaining integer, closing_ordinal integer, state run_state, special boolean, failed integer, flags smallint, max_parallel smallint)
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
begin
    return query
        update runs r
        set remaining = r.remaining - ended.n, failed = r.failed + ended.failed, warnings = r.warnings + ended.warned,
            state = case when r.remaining > ended.n or r.flags <> 0 or r.parent_run_id is not null or r.ending is not null then r.state
                         when r.failed + ended.failed > 0 then 'failed'
                         when r.closing_ordinal is not null then r.state
                         else 'completed' end,
            phase = case when r.remaining = ended.n and r.failed + ended.failed = 0 and r.closing_ordinal is not null
                              and r.flags = 0 and r.parent_run_id is null and r.ending is null then 'closing' else r.phase end,
            deadline = case when r.remaining = ended.n and (r.failed + ended.failed > 0 or r.closing_ordinal is null)
                                 and r.flags = 0 and r.parent_run_id is null and r.ending is null then null else r.deadline end,
            finished_at = case when r.remaining = ended.n and (r.failed + ended.failed > 0 or r.closing_ordinal is null)
                                    and r.flags = 0 and r.parent_run_id is null and r.ending is null then p_now end
        from unnest(p_tids, p_counts, p_failed, p_warned) as ended(tid, n, failed, warned)
        where r.ctid = ended.tid and r.shard = p_shard
        returning r.run_id, r.remaining, r.closing_ordinal, r.state, r.flags <> 0 or r.parent_run_id is not null or r.ending is not null,
                  -- only what failed now: after a retry earlier failures stand that nobody asked for; those in its hooks are none of the run
                  case when r.ending is null then ended.failed else 0 end, r.flags, r.max_parallel;
end $$;
