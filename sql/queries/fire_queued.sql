-- The first slot of a schedule that waits for earlier work; no row when that goes on.
-- Locks: the schedule's row, skipped when held; the key's row.
-- Index: schedules_pkey, schedule_fires_queued.
-- Caller: store.schedules.fire_queued
select slot, run_id
from (select set_config('tributary.group', %(group)s::text, true)) as known
cross join lateral tributary.fire_queued(%(name)s, %(version)s, %(revision)s::uuid, %(inputs)s::jsonb)
