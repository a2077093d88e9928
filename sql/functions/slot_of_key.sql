-- The slot of keyed work: equal keys of a tenant meet on one shard, where their primary key is unique.
create or replace function tributary.slot_of_key(tenant text, key text) returns integer
language sql immutable parallel safe
as $$
    select (hashtextextended(tenant || E'\x1f' || key, 0) & 4095)::integer
$$;
