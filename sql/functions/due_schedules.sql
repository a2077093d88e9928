-- What due_slots answers, as workers of the release before ask for it: goes one release later. Index: as due_slots.
create or replace function tributary.due_schedules(p_but text[], p_limit integer) returns table (
    name text, version integer, kind text, target text, cron text, timezone text, overlap text, catchup float8, jitter float8,
    payload jsonb, since timestamptz, next_slot timestamptz, due boolean, queued timestamptz, now timestamptz
)
language sql volatile
as $$
    select d.name, d.version, d.kind, d.target, d.cron, d.timezone, d.overlap, d.catchup, d.jitter, d.payload, d.since, d.next_slot,
           d.next_at <= d.now, d.queued, d.now
    from tributary.due_slots(p_but, p_limit) as d
$$;
