-- Those of the given runs and intents that fit, newest first. Each is looked for alone: from the id behind it down to itself.
-- Locks: none.
-- Index: see list_runs and list_intents.
-- Caller: store.lists.these
select page.*,
       coalesce(case page.kind when 'run' then (select r.tenant_id from tributary.runs as r
                                                where r.shard = tributary.shard_of(page.run_id) and r.run_id = page.run_id)
                else (select s.tenant_id from tributary.steps as s
                      where s.shard = tributary.shard_of(page.run_id) and s.run_id = page.run_id and s.ordinal = 0) end, '') as tenant
from (
    select r.run_id, 'run' as kind, r.name, r.state, r.reason, null::text as queue, null::smallint as attempt,
           null::smallint as max_attempts, r.priority, r.labels, r.created_at, r.started_at, r.finished_at,
           r.steps_ended, r.steps_total, r.warnings
    from (
        select given.id, coalesce(%(since)s::timestamptz, tributary.clock() - make_interval(secs => %(age)s::float8)) as since
        from unnest(%(ids)s::uuid[]) as given(id)
    ) as given
    cross join lateral tributary.list_runs(
        tributary.shard_of(given.id), tributary.next_id(given.id), given.id, %(state)s::text, %(name)s::text, %(tenant)s::text, %(labels)s::jsonb,
        given.since, 1, 1) as r
    where %(kind)s::text is distinct from 'intent' and r.fits
    union all
    select s.run_id, 'intent', s.name, s.state, s.reason, s.queue, s.attempt, s.max_attempts, s.priority,
           '{}'::jsonb, s.created_at, s.started_at, s.finished_at, null::integer, null::integer, 0
    from (
        select given.id, coalesce(%(since)s::timestamptz, tributary.clock() - make_interval(secs => %(age)s::float8)) as since
        from unnest(%(ids)s::uuid[]) as given(id)
    ) as given
    cross join lateral tributary.list_intents(
        tributary.shard_of(given.id), tributary.next_id(given.id), given.id, %(state)s::text, %(name)s::text, %(tenant)s::text, given.since, 1, 9) as s
    where %(kind)s::text is distinct from 'run' and %(labels)s::jsonb is null and s.fits
) as page
order by page.run_id desc
