-- What a leader has to do for schedules now.
-- Locks: none.
-- Index: schedules_due, schedules_queued, schedules_pkey.
-- Caller: store.schedules.due
select name, version, kind, target, cron, timezone, overlap, catchup, jitter, payload, labels, since, next_slot, next_at, queued, now,
       (select s.tenant_id from tributary.schedules as s where s.name = d.name)
from tributary.due_slots(%(but)s::text[], %(limit)s) as d
