-- What the steps of a run (or an intent, ordinal 0) were given, with the options and their levels.
-- Locks: none.
-- Index: payloads_pkey.
-- Caller: store.runs.payloads
select p.ordinal, p.payload, p.options
from tributary.payloads as p
where p.shard = tributary.shard_of(%(id)s::uuid) and p.run_id = %(id)s::uuid
order by p.ordinal
