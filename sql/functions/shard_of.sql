-- The shard where the row of an id lives: its slot (the last 12 bits) modulo the number of shards.
create or replace function tributary.shard_of(id uuid) returns smallint
language sql stable parallel safe
as $$
    select (('x' || right(id::text, 3))::bit(12)::integer % tributary.shard_count())::smallint
$$;
