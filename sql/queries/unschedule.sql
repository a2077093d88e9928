-- Removes a schedule with the record of its slots.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.remove
select tributary.unschedule(%(name)s)
