-- Gives up the making of a result: the attempt has failed, and whoever asks next makes it. False when the caller is not who makes it.
-- Index: step_cache_pkey.
create or replace function tributary.drop_cached(
    p_shard smallint, p_tenant text, p_key text, p_holder_run uuid, p_holder_ordinal integer, p_holder_seq bigint
) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    delete from step_cache c
    where c.shard = p_shard and c.tenant_id = p_tenant and c.key = p_key and c.state = 'filling'
      and c.holder_run = p_holder_run and c.holder_ordinal = p_holder_ordinal and c.holder_seq = p_holder_seq;
    return found;
end $$;
