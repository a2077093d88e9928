-- Starts what a schedule is for now, outside its slots.
-- Locks: the schedule's row; the key's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.trigger
select tributary.trigger_slot(%(name)s, %(revision)s::uuid, %(inputs)s::jsonb)
from (select set_config('tributary.group', %(group)s::text, true)) as known
