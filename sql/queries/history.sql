-- The history of a run of a workflow function, in order, with the number of its next step.
-- Locks: none.
-- Index: runs_pkey, history_pkey.
-- Caller: store.histories.read
select r.run_id::text, h.number, h.events, r.next_ordinal
from tributary.runs as r
join tributary.history as h on h.shard = r.shard and h.run_id = r.run_id
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
order by h.number
