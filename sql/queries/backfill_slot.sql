-- One slot of a backfill.
-- Locks: the schedule's row; the key's row.
-- Index: schedules_pkey, schedule_fires_pkey.
-- Caller: store.schedules.backfill
select outcome, run_id
from (select set_config('tributary.group', %(group)s::text, true)) as known
cross join lateral tributary.backfill_slot(%(name)s, %(slot)s::timestamptz, %(revision)s::uuid, %(inputs)s::jsonb)
