-- Keeps a result in the step cache, for p_ttl seconds, or for ever. False when the caller is not who makes it: it was taken over, or the
-- entry was purged. Index: step_cache_pkey.
create or replace function tributary.fill_cached(
    p_shard smallint, p_tenant text, p_key text, p_holder_run uuid, p_holder_ordinal integer, p_holder_seq bigint,
    p_value text, p_ttl double precision
) returns boolean
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
    update step_cache c
    set state = 'filled', value = p_value, filled_at = v_now, expires_at = v_now + make_interval(secs => p_ttl),
        holder_run = null, holder_ordinal = null, holder_seq = null
    where c.shard = p_shard and c.tenant_id = p_tenant and c.key = p_key and c.state = 'filling'
      and c.holder_run = p_holder_run and c.holder_ordinal = p_holder_ordinal and c.holder_seq = p_holder_seq;
    return found;
end $$;
