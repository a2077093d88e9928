-- The workflow function of a run, with its inputs and what it says of itself; none where the run is of a file.
-- Locks: none.
-- Index: runs_pkey, revisions_pkey, payloads_pkey, progress_pkey.
-- Caller: store.histories.function
select r.name, v.plan #>> '{steps,0,name}' as handler, v.plan ? 'function' as is_function, p.payload as inputs, g.details as status
from tributary.runs as r
join tributary.revisions as v on v.revision_id = r.revision_id
left join tributary.payloads as p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
left join tributary.progress as g on g.shard = r.shard and g.run_id = r.run_id and g.ordinal = 1
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
