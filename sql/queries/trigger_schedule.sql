-- Starts what a schedule is for now, outside its slots.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.trigger
select tributary.trigger_schedule(%(name)s)
