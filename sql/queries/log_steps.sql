-- The step ids of a run, each once; for an intent one row with null.
-- Locks: none.
-- Index: steps_pkey.
-- Caller: store.logs.step_ids
select distinct s.step_id
from tributary.steps as s
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.kind <> 'closing'
order by s.step_id
limit 200
