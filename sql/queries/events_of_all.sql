-- Events of the newest 1,000 runs and 1,000 intents of each shard, oldest first: those behind a cursor, or the newest.
-- Locks: none.
-- Index: runs_pkey and steps_pkey backwards.
-- Caller: store.events.page
with recent as materialized (
    select found.run_id, n.shard::smallint as shard
    from generate_series(0, tributary.shard_count() - 1) as n(shard)
    cross join lateral (
        (select r.run_id, r.tenant_id from tributary.runs as r where r.shard = n.shard::smallint order by r.run_id desc limit 1000)
        union all
        (select s.run_id, s.tenant_id from tributary.steps as s
         where s.shard = n.shard::smallint and s.ordinal = 0 and s.kind = 'intent' order by s.run_id desc limit 1000)
    ) as found
    where %(tenant)s::text is null or found.tenant_id = %(tenant)s::text
)
select p.run_id, p.at, p.type, p.step_id, p.ordinal, p.attempt, p.data
from (
    select e.run_id, e.at, e.type, e.step_id, e.ordinal, e.attempt, e.data
    from recent
    cross join lateral (
        select * from tributary.events as k where k.shard = recent.shard and k.run_id = recent.run_id offset 0
    ) as e
    where (%(at)s::timestamptz is null
           or (e.at, e.run_id, coalesce(e.ordinal, -1), e.type)
              > (%(at)s::timestamptz, %(last_id)s::uuid, %(ordinal)s::integer, %(type)s::text))
    order by case when %(at)s::timestamptz is null then e.at end desc, e.at, e.run_id, coalesce(e.ordinal, -1), e.type
    limit %(limit)s::integer
) as p
order by p.at, p.run_id, coalesce(p.ordinal, -1), p.type
