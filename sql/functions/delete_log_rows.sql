-- Removes these rows of log_chunks, found by the caller, by ctid alone, see complete_steps. One plan for all: the settings leave no other.
create or replace function tributary.delete_log_rows(p_shard smallint, p_chunks tid[]) returns void
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
    delete from log_chunks c where c.ctid = any (p_chunks) and c.shard = p_shard;
end $$;
