-- Records the start of attempts whose max_attempts is 1, fenced, before user code runs; returns the tokens that still stand.
create or replace function tributary.mark_started(p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[])
returns table (run_id uuid, ordinal integer, seq bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_tids tid[];
    v_now timestamptz;
begin
    select array_agg(held.tid) into v_tids
    from unnest(p_run_ids, p_ordinals, p_seqs) as t(run_id, ordinal, seq)
    cross join lateral (
        select s.ctid as tid, s.state, s.seq from steps s
        where s.shard = p_shard and s.run_id = t.run_id and s.ordinal = t.ordinal
        for update offset 0
    ) as held
    where held.state = 'running' and held.seq = t.seq;
    v_now := clock();
    return query
        update steps s set started_at = v_now
        where s.ctid = any (v_tids) and s.shard = p_shard
        returning s.run_id, s.ordinal, s.seq;
end $$;
