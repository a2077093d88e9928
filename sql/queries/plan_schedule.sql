-- Sets the next slot of a schedule, and records what was missed before it.
-- Locks: the schedule's row, skipped when held.
-- Index: schedules_pkey.
-- Caller: store.schedules.plan
select tributary.plan_schedule(
    %(name)s, %(version)s, %(slot)s::timestamptz, %(next_slot)s::timestamptz, %(next_at)s::timestamptz,
    %(missed)s, %(until)s::timestamptz)
