-- Name, source, hash and plan of the revision that a run goes on with.
-- Locks: none.
-- Index: runs_pkey, revisions_pkey.
-- Caller: store.runs.plan
select r.name, v.revision_id, v.hash, v.source, v.plan
from tributary.runs as r
join tributary.revisions as v on v.revision_id = r.revision_id
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
