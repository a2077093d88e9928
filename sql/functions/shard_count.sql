-- Number of shards, fixed when the schema was created.
create or replace function tributary.shard_count() returns integer
language sql stable parallel safe
as $$
    select coalesce((select value::integer from tributary.meta where key = 'shards'), 1)
$$;
