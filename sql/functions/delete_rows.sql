-- The only place that deletes history, beside delete_log_rows: these rows, found and locked by the caller, by ctid alone, see complete_steps.
-- One plan for all: the settings leave no other.
create or replace function tributary.delete_rows(
    p_shard smallint, p_runs tid[], p_steps tid[], p_payloads tid[], p_keys tid[], p_edges tid[], p_events tid[], p_attempts tid[],
    p_progress tid[], p_letters tid[]
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
set jit to off
as $$
begin
    delete from runs r where r.ctid = any (p_runs) and r.shard = p_shard;
    delete from steps s where s.ctid = any (p_steps) and s.shard = p_shard;
    delete from payloads p where p.ctid = any (p_payloads) and p.shard = p_shard;
    delete from keys k where k.ctid = any (p_keys) and k.shard = p_shard;
    delete from edges e where e.ctid = any (p_edges) and e.shard = p_shard;
    delete from event_log l where l.ctid = any (p_events) and l.shard = p_shard;
    delete from attempts a where a.ctid = any (p_attempts) and a.shard = p_shard;
    delete from progress p where p.ctid = any (p_progress) and p.shard = p_shard;
    delete from dead_letters d where d.ctid = any (p_letters) and d.shard = p_shard;
end $$;
