-- Runs and intents, newest first, one page; the row that has ended set is the last, and tells from where to go on.
-- Locks: none.
-- Index: see list_runs and list_intents, per shard.
-- Caller: store.lists.page
with shards as materialized (
    select generate_series(0, n - 1)::smallint as shard, greatest(%(window)s::integer / n, 1) as share
    from tributary.shard_count() as n
), asked as materialized (
    select coalesce(%(since)s::timestamptz, tributary.clock() - make_interval(secs => %(age)s::float8)) as since,
           coalesce(%(after)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') as after
), cut as materialized (
    -- ids grow with the real time of whoever made them, give or take a day: what was made since then has none below
    select asked.*, case when asked.since is null then '00000000-0000-0000-0000-000000000000'
                         else tributary.first_id(asked.since + (clock_timestamp() - tributary.clock()) - interval '1 day') end as lowest
    from asked
), found_runs as materialized (
    select r.*
    from cut, shards
    cross join lateral tributary.list_runs(
        shards.shard, cut.after, cut.lowest, %(state)s::text, %(name)s::text, %(tenant)s::text, %(labels)s::jsonb, cut.since,
        %(limit)s::integer, shards.share) as r
    where %(kind)s::text is distinct from 'intent'
), needed as materialized (
    -- older intents have no place on the page
    select greatest(cut.lowest, (
        select r.run_id
        from (select f.run_id, f.ended, row_number() over (order by f.run_id desc, f.fits desc) as place from found_runs as f) as r
        where r.ended or r.place = %(limit)s::integer
        order by r.run_id desc limit 1)) as lowest
    from cut
)
select page.*,
       -- a look-up by key for each row of the page
       coalesce(case page.kind when 'run' then (select r.tenant_id from tributary.runs as r
                                                where r.shard = tributary.shard_of(page.run_id) and r.run_id = page.run_id)
                else (select s.tenant_id from tributary.steps as s
                      where s.shard = tributary.shard_of(page.run_id) and s.run_id = page.run_id and s.ordinal = 0) end, '') as tenant
from (
    select r.run_id, r.fits, r.ended, 'run' as kind, r.name, r.state, r.reason, null::text as queue, null::smallint as attempt,
           null::smallint as max_attempts, r.priority, r.labels, r.created_at, r.started_at, r.finished_at,
           r.steps_ended, r.steps_total, r.warnings
    from found_runs as r
    union all
    select s.run_id, s.fits, s.ended, 'intent', s.name, s.state, s.reason, s.queue, s.attempt, s.max_attempts, s.priority,
           '{}'::jsonb, s.created_at, s.started_at, s.finished_at, null::integer, null::integer, 0
    from cut, needed, shards
    cross join lateral tributary.list_intents(
        shards.shard, cut.after, needed.lowest, %(state)s::text, %(name)s::text, %(tenant)s::text, cut.since,
        %(limit)s::integer, shards.share) as s
    where %(kind)s::text is distinct from 'run' and %(labels)s::jsonb is null
    order by run_id desc, fits desc
    limit %(limit)s::integer
) as page
order by page.run_id desc, page.fits desc
