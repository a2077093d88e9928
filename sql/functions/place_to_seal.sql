-- A new id for what is about to be submitted, and whose it will be: who encrypts values binds them to both beforehand. p_key: an idempotency
-- key, or the name and the unique key with E'\x1f' between; its work lives on its shard. Locks: none.
create or replace function tributary.place_to_seal(p_tenant text, p_key text) returns table (id uuid, tenant text)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
begin
    tenant := tenant_to_submit(p_tenant);
    id := new_id(case when p_key is not null then slot_of_key(tenant, p_key) end);
    return next;
end $$;
