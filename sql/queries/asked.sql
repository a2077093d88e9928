-- The form of a step that asks for an answer; no row when it asks for none.
-- Locks: none.
-- Index: waits_pkey, steps_pkey.
-- Caller: store.control.asked
select w.form
from tributary.waits as w
join tributary.steps as s on s.shard = w.shard and s.run_id = w.run_id and s.ordinal = w.ordinal
where w.shard = tributary.shard_of(%(id)s::uuid) and w.run_id = %(id)s::uuid and w.kind = 'approval'
  and %(step)s in (s.step_id, s.step_id || '[' || s.item_key || ']')
order by w.ordinal limit 1
