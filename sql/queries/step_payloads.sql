-- What the steps of a run (or an intent, ordinal 0) were given, with the options and their levels.
-- Locks: none.
-- Index: payloads_pkey, steps_pkey.
-- Caller: store.runs.payloads
select p.ordinal, p.payload, p.options
from tributary.payloads as p
where p.shard = tributary.shard_of(%(id)s::uuid) and p.run_id = %(id)s::uuid
union all
select s.ordinal, s.payload, null
from tributary.steps as s
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.payload is not null
order by 1
