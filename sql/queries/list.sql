-- Runs and intents, newest first, one page.
-- Locks: none.
-- Index: runs_pkey and steps_pkey backwards, per shard.
-- Caller: store.lists.page
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), cut as materialized (
    select coalesce(%(since)s::timestamptz, tributary.clock() - make_interval(secs => %(age)s::float8)) as since
)
select page.*
from (
    select r.run_id, 'run' as kind, r.name, r.state, r.reason, null::text as queue, null::smallint as attempt,
           null::smallint as max_attempts, r.priority, r.labels, r.created_at, r.started_at, r.finished_at,
           r.steps_ended, r.steps_total, r.warnings
    from cut, shards
    cross join lateral tributary.list_runs(
        shards.shard, %(after)s::uuid, %(state)s::text, %(stored)s::text, %(name)s::text, %(tenant)s::text,
        %(labels)s::jsonb, cut.since, %(limit)s::integer) as r
    where %(kind)s::text is distinct from 'intent'
    union all
    select s.run_id, 'intent', s.name, s.state, s.reason, s.queue, s.attempt, s.max_attempts, s.priority,
           '{}'::jsonb, s.created_at, s.started_at, s.finished_at, null::integer, null::integer, 0
    from cut, shards
    cross join lateral tributary.list_intents(
        shards.shard, %(after)s::uuid, %(state)s::text, %(name)s::text, %(tenant)s::text, cut.since,
        %(limit)s::integer) as s
    where %(kind)s::text is distinct from 'run' and %(labels)s::jsonb is null
) as page
order by page.run_id desc
limit %(limit)s::integer
