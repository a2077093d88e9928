-- Who needs whom in a run.
-- Locks: none.
-- Index: edges_pkey.
-- Caller: store.runs.edges
select e.parent, e.child
from tributary.edges as e
where e.shard = tributary.shard_of(%(id)s::uuid) and e.run_id = %(id)s::uuid
order by e.child, e.parent
