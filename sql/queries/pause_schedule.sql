-- Stops a schedule; returns the state it was in.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.pause
select tributary.pause_schedule(%(name)s)
