-- One slot of a schedule, exactly once; no row when it is not due here any more.
-- Locks: the schedule's row, skipped when held; the key's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.fire
select outcome, run_id
from (select set_config('tributary.group', %(group)s::text, true)) as known
cross join lateral tributary.fire_schedule(
    %(name)s, %(version)s, %(slot)s::timestamptz, %(late)s, %(revision)s::uuid, %(inputs)s::jsonb,
    %(next_slot)s::timestamptz, %(next_at)s::timestamptz)
