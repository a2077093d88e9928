-- Ids among the newest 100,000 of each kind that start or end with some hexadecimal digits; all of them when null, but no child runs.
-- Locks: none.
-- Index: runs_pkey and steps_pkey backwards, per shard.
-- Caller: store.lists._newest
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), wanted as materialized (
    -- the least and the greatest id with that head. The tail as ids are written, with hyphens before the last 12, 16, 20 and 24 digits
    select rpad(part, 32, '0')::uuid as low, rpad(part, 32, 'f')::uuid as high, right(lpad(part, 32, '0')::uuid::text, length) as tail, length
    from (select %(part)s::text) as given (part)
    cross join lateral (
        select length(part) + (select count(*)::integer from unnest(array[12, 16, 20, 24]) as n where n < length(part)) as length
    ) as written
)
select found.run_id, found.kind, found.name, found.state, found.created_at
from (
    select newest.*
    from wanted, shards
    cross join lateral (
        select r.run_id, 'run' as kind, r.name, r.state::text as state, r.created_at, r.tenant_id
        from tributary.runs as r
        where r.shard = shards.shard and (wanted.tail is not null or r.parent_run_id is null)
        order by r.run_id desc limit case when %(tenant)s::text is null then %(window)s::integer else 100000 end
    ) as newest
    where (%(tenant)s::text is null or newest.tenant_id = %(tenant)s::text)
      and (wanted.tail is null or newest.run_id between wanted.low and wanted.high
           or right(newest.run_id::text, wanted.length) = wanted.tail)
    union all
    select newest.*
    from wanted, shards
    cross join lateral (
        select s.run_id, 'intent', s.name, s.state::text, s.created_at, s.tenant_id
        from tributary.steps as s
        where s.shard = shards.shard and s.ordinal = 0 and s.kind = 'intent'
        order by s.run_id desc limit case when %(tenant)s::text is null then %(window)s::integer else 100000 end
    ) as newest
    where (%(tenant)s::text is null or newest.tenant_id = %(tenant)s::text)
      and (wanted.tail is null or newest.run_id between wanted.low and wanted.high
           or right(newest.run_id::text, wanted.length) = wanted.tail)
) as found
order by found.run_id desc
limit %(limit)s::integer
