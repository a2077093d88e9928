-- Gives a unique key to p_id. The caller holds the key's row. p_first: since when submits are folded together.
create or replace function tributary.pass_unique(
    p_shard smallint, p_tenant text, p_name text, p_key text, p_period interval, p_id uuid, p_first timestamptz
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_now timestamptz := clock();
begin
    update unique_keys u
    set run_id = p_id, taken_at = v_now, first_at = p_first, until = greatest(u.until, v_now + p_period)
    where u.shard = p_shard and u.tenant_id = p_tenant and u.name = p_name and u.key = p_key;
end $$;
