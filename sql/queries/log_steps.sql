-- The step ids of a run, the wanted one first, and whether each has the wanted item (null: it has none yet); for an intent one row with null.
-- Locks: none.
-- Index: steps_pkey.
-- Caller: store.logs.steps
select s.step_id, bool_or(s.item_key = %(item)s::text) as has_item
from tributary.steps as s
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.kind <> 'closing'
group by s.step_id
order by s.step_id is distinct from %(step)s::text, s.step_id
limit 200
