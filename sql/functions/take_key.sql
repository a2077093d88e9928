-- Takes an idempotency key for p_id and returns null, or returns the id that holds it (p_id itself when a submit is repeated). Waits for a concurrent taker to commit or roll back.
-- Raises TR002 when the key is known under another name.
create or replace function tributary.take_key(p_shard smallint, p_tenant text, p_key text, p_id uuid, p_name text) returns uuid
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_id uuid;
    v_name text;
begin
    perform check_name('an idempotency key', p_key);
    loop
        insert into keys (shard, tenant_id, key, run_id, name)
        values (p_shard, p_tenant, p_key, p_id, p_name)
        on conflict (shard, tenant_id, key) do nothing;
        if found then
            return null;
        end if;
        select k.run_id, k.name into v_id, v_name
        from keys k where k.shard = p_shard and k.tenant_id = p_tenant and k.key = p_key;
        -- gone when its holder was pruned in this very moment
        exit when found;
    end loop;
    if v_name is distinct from p_name then
        raise exception 'idempotency key % is known under the name %', quote_literal(p_key), v_name
            using errcode = 'TR002', hint = 'use another key, or submit ' || v_name, detail = v_id::text;
    end if;
    return v_id;
end $$;
