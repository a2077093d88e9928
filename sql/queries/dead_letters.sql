-- Dead letters, newest first, one page.
-- Locks: none.
-- Index: dead_letters_by_time backwards, per shard; steps_pkey.
-- Caller: store.dead_letters.page
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
)
select found.*,
       -- only steps are items of a list
       case when found.kind <> 'intent' then (
           select s.item_key from tributary.steps as s
           where s.shard = shards.shard and s.run_id = found.run_id and s.ordinal = found.ordinal) end as item_key
from shards
cross join lateral (
    select d.run_id, d.ordinal, d.step_id, d.kind::text as kind, d.name, d.queue, d.attempt, d.reason, d.error, d.created_at
    from tributary.dead_letters as d
    where d.shard = shards.shard
      and (%(tenant)s::text is null or d.tenant_id = %(tenant)s::text)
      and (%(at)s::timestamptz is null or (d.created_at, d.run_id, d.ordinal) < (%(at)s::timestamptz, %(id)s::uuid, %(ordinal)s::integer))
    order by d.created_at desc, d.run_id desc, d.ordinal desc
    limit %(limit)s::integer
) as found
order by found.created_at desc, found.run_id desc, found.ordinal desc
limit %(limit)s::integer
