-- The next slots of all schedules are computed anew.
-- Locks: schedules, skipped when held.
-- Index: none; schedules is small.
-- Caller: store.schedules.replan
select tributary.replan_schedules()
