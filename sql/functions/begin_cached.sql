-- Asks for a result of the step cache, and for the right to make it where there is none. Returns one row: hit with the value; mine, the caller
-- makes it and calls fill_cached or drop_cached; busy with who makes it, and since how many seconds. Whether that one still lives is the
-- caller's to find out: it may be of another shard.
-- Index: step_cache_pkey.
create or replace function tributary.begin_cached(
    p_shard smallint, p_tenant text, p_key text, p_step_name text, p_version text, p_scope text, p_run_id uuid,
    p_holder_run uuid, p_holder_ordinal integer, p_holder_seq bigint
) returns table (answer text, value text, holder_run uuid, holder_ordinal integer, holder_seq bigint, age double precision)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_row record;
begin
    for i in 1 .. 5 loop
        v_now := clock();
        select * into v_row from step_cache c where c.shard = p_shard and c.tenant_id = p_tenant and c.key = p_key;
        if not found then
            insert into step_cache (shard, tenant_id, key, step_name, version, scope, run_id, state, created_at, expires_at,
                                    holder_run, holder_ordinal, holder_seq)
            values (p_shard, p_tenant, p_key, p_step_name, p_version, p_scope, p_run_id, 'filling', v_now, v_now + interval '7 days',
                    p_holder_run, p_holder_ordinal, p_holder_seq)
            on conflict do nothing;
            if found then
                return query select 'mine', null::text, null::uuid, null::integer, null::bigint, null::double precision;
                return;
            end if;
        elsif v_row.state = 'filling' then
            return query select 'busy', null::text, v_row.holder_run, v_row.holder_ordinal, v_row.holder_seq,
                                greatest(extract(epoch from v_now - v_row.created_at), 0)::double precision;
            return;
        elsif v_row.expires_at is null or v_row.expires_at > v_now then
            return query select 'hit', v_row.value, null::uuid, null::integer, null::bigint, null::double precision;
            return;
        else
            update step_cache c
            set state = 'filling', value = null, filled_at = null, created_at = v_now, expires_at = v_now + interval '7 days',
                version = p_version, holder_run = p_holder_run, holder_ordinal = p_holder_ordinal, holder_seq = p_holder_seq
            where c.shard = p_shard and c.tenant_id = p_tenant and c.key = p_key and c.state = 'filled' and c.expires_at = v_row.expires_at;
            if found then
                return query select 'mine', null::text, null::uuid, null::integer, null::bigint, null::double precision;
                return;
            end if;
        end if;
        -- somebody was quicker: what is there now?
    end loop;
    raise exception 'the entry % of the step cache changes faster than it can be read', quote_literal(p_key) using errcode = '40001';
end $$;
