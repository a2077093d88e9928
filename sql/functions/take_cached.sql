-- Takes over the making of a result from an attempt that is not at work any more. True for exactly one caller: the old holder must still
-- stand there. Index: step_cache_pkey.
create or replace function tributary.take_cached(
    p_shard smallint, p_tenant text, p_key text, p_old_run uuid, p_old_ordinal integer, p_old_seq bigint,
    p_holder_run uuid, p_holder_ordinal integer, p_holder_seq bigint
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
    set created_at = v_now, expires_at = v_now + interval '7 days',
        holder_run = p_holder_run, holder_ordinal = p_holder_ordinal, holder_seq = p_holder_seq
    where c.shard = p_shard and c.tenant_id = p_tenant and c.key = p_key and c.state = 'filling'
      and c.holder_run = p_old_run and c.holder_ordinal = p_old_ordinal and c.holder_seq = p_old_seq;
    return found;
end $$;
