-- The keys of the limits that hold for rows of a queue and a tenant, see limit_of: the engine's own queues are held by none.
create or replace function tributary.limit_keys(p_queue text, p_tenant text) returns text[]
language sql immutable parallel safe
as $$
    select case when p_queue like '~%' then array[p_queue] else array[p_queue, 'tenant:' || p_tenant] end
$$;
