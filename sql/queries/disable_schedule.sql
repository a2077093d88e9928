-- Takes a schedule that cannot work out of the way.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.disable
select tributary.disable_schedule(%(name)s, %(version)s, %(error)s)
