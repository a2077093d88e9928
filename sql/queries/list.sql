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
    select found.*
    from cut, shards
    cross join lateral (
        select r.run_id, 'run' as kind, r.name, now.state, r.reason, null::text as queue, null::smallint as attempt,
               null::smallint as max_attempts, r.priority, r.labels, r.created_at, live.started_at, r.finished_at,
               r.next_ordinal - 2 - r.remaining as steps_ended, r.next_ordinal - 2 as steps_total, r.warnings
        from tributary.runs as r
        cross join lateral (
            select min(coalesce(s.started_at, s.claimed_at)) as started_at
            from tributary.steps as s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
        ) as live
        cross join lateral (
            select tributary.run_state_now(r.shard, r.run_id, r.state, r.run_at) as state offset 0
        ) as now
        where r.shard = shards.shard
          and r.run_id < coalesce(%(after)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          and %(kind)s::text is distinct from 'intent'
          and (%(stored)s::text is null or r.state::text = %(stored)s::text)
          and (%(name)s::text is null or r.name = %(name)s::text)
          and (%(tenant)s::text is null or r.tenant_id = %(tenant)s::text)
          and (%(labels)s::jsonb is null or r.labels @> %(labels)s::jsonb)
          and (cut.since is null or r.created_at >= cut.since)
          and (%(state)s::text is null or now.state = %(state)s::text)
        order by r.run_id desc
        limit %(limit)s::integer
    ) as found
    union all
    select found.*
    from cut, shards
    cross join lateral (
        select s.run_id, 'intent', s.name, s.state::text, s.reason, s.queue, s.attempt, s.max_attempts, s.priority,
               '{}'::jsonb, s.created_at,
               case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end,
               s.finished_at, null::integer, null::integer, 0
        from tributary.steps as s
        where s.shard = shards.shard
          and s.run_id < coalesce(%(after)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          and s.ordinal = 0 and s.kind = 'intent'
          and %(kind)s::text is distinct from 'run'
          and %(labels)s::jsonb is null
          and (%(state)s::text is null or s.state::text = %(state)s::text)
          and (%(name)s::text is null or s.name = %(name)s::text)
          and (%(tenant)s::text is null or s.tenant_id = %(tenant)s::text)
          and (cut.since is null or s.created_at >= cut.since)
        order by s.run_id desc
        limit %(limit)s::integer
    ) as found
) as page
order by page.run_id desc
limit %(limit)s::integer
