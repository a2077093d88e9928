-- Writes the completion of attempts whose rows still lie where their claim has left them: fenced by (step, seq) like every finish, and
-- found without an index. Returns which; a row that was moved meanwhile is left out, its place may even be another row's by now.
-- Locks: step rows, in the order given, that of the key. By ctid alone, see complete_steps.
create or replace function tributary.complete_leases(
    p_shard smallint, p_tids tid[], p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_results text[], p_elapsed float8[], p_now timestamptz
) returns table (i integer, kind step_kind)
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
    return query
        update steps s
        set state = 'completed', process_id = null, finished_at = p_now,
            result = case when s.kind <> 'closing' then done.result::jsonb end,
            started_at = coalesce(s.started_at, least(s.claimed_at + make_interval(secs => done.elapsed), p_now))
        from unnest(p_tids, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed) with ordinality
             as done(tid, run_id, ordinal, seq, result, elapsed, i)
        where s.ctid = done.tid and s.shard = p_shard and s.run_id = done.run_id and s.ordinal = done.ordinal
          and s.seq = done.seq and s.state = 'running'
        returning done.i::integer, s.kind;
end $$;
