-- Lets a schedule go on; returns the state it was in.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.resume
select tributary.resume_schedule(%(name)s, %(catch_up)s)
