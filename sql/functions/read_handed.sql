-- What write_claims returns, of rows that the end of their parents has claimed already. By ctid alone, see complete_steps.
create or replace function tributary.read_handed(p_shard smallint, p_tids tid[])
returns table (
    run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    lone_crashes smallint, payload jsonb, correlated boolean
)
language plpgsql strict volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
as $$
#variable_conflict use_column
begin
    return query
        select s.run_id, s.ordinal, s.seq, s.ctid, s.kind, s.name, s.step_id, s.item_key, s.queue, s.priority, s.tenant_id, s.attempt,
               s.attempt_base, s.max_attempts, s.crashes, s.flags, s.lone_crashes, s.payload, s.correlated
        from steps s
        where s.ctid = any (p_tids) and s.shard = p_shard;
end $$;
