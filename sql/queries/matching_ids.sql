-- Ids among the newest 100,000 runs and intents that start or end with some hexadecimal digits; all of them when null.
-- Locks: none.
-- Index: runs_pkey and steps_pkey backwards, per shard.
-- Caller: store.lists._newest
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), newest as (
    select both_kinds.*
    from (
        select found.*
        from shards
        cross join lateral (
            select r.run_id, 'run' as kind, r.name, r.state::text as state, r.created_at
            from tributary.runs as r
            where r.shard = shards.shard
            order by r.run_id desc limit %(window)s::integer
        ) as found
        union all
        select found.*
        from shards
        cross join lateral (
            select s.run_id, 'intent', s.name, s.state::text, s.created_at
            from tributary.steps as s
            where s.shard = shards.shard and s.ordinal = 0 and s.kind = 'intent'
            order by s.run_id desc limit %(window)s::integer
        ) as found
    ) as both_kinds
    order by both_kinds.run_id desc limit %(window)s::integer
)
select n.run_id, n.kind, n.name, n.state, n.created_at
from newest as n
cross join lateral (select replace(n.run_id::text, '-', '') as digits) as d
where %(part)s::text is null or starts_with(d.digits, %(part)s::text) or right(d.digits, length(%(part)s::text)) = %(part)s::text
order by n.run_id desc
limit %(limit)s::integer
