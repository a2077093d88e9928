-- The roots of runs: a value may come from a run of the same tree only.
-- Locks: none.
-- Index: runs_pkey.
-- Caller: store.sealed.roots_of
select r.run_id::text, r.root_id::text
from unnest(%(ids)s::uuid[]) as u(id)
join tributary.runs as r on r.shard = tributary.shard_of(u.id) and r.run_id = u.id
