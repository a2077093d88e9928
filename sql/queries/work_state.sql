-- The stored state of a run or an intent: all that waiting needs.
-- Locks: none.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.runs.state
select r.state::text, 'run' as kind, r.name
from tributary.runs as r
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
union all
select s.state::text, 'intent', s.name
from tributary.steps as s
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.ordinal = 0 and s.kind = 'intent'
