-- The limits that a key stands for, no row where there are none: the name of a queue, or tenant: and a tenant (no queue has a : in its name).
-- rate: attempts per second. Index: queues_pkey, tenants_pkey.
create or replace function tributary.limit_of(p_key text) returns table (concurrency integer, rate float8)
language sql stable parallel safe
as $$
    select q.concurrency, q.rate::float8 / q.rate_per from tributary.queues q
    where q.name = p_key and (q.concurrency is not null or q.rate is not null)
    union all
    select t.concurrency, t.rate::float8 / t.rate_per from tributary.tenants t
    where p_key like 'tenant:%' and t.tenant_id = substr(p_key, 8)
$$;
