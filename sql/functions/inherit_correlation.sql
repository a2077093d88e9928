-- Gives a child run the ids of its parent. Returns true where that has any, else null.
-- Locks: none. Index: correlations_pkey.
create or replace function tributary.inherit_correlation(p_shard smallint, p_run_id uuid, p_parent uuid) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    insert into correlations (run_id, shard, tenant_id, correlation_id, business_id, traceparent)
    select p_run_id, p_shard, c.tenant_id, c.correlation_id, c.business_id, c.traceparent
    from correlations c where c.shard = p_shard and c.run_id = p_parent;
    return nullif(found, false);
end $$;
