-- One dead letter with what its work was given.
-- Locks: none.
-- Index: dead_letters_pkey, payloads_pkey, steps_pkey.
-- Caller: store.dead_letters.one
select d.run_id, d.ordinal, d.step_id, d.kind::text, d.name, d.queue, d.attempt, d.reason, d.error, d.created_at, s.item_key,
       coalesce(s.payload, p.payload) as payload
from tributary.dead_letters as d
left join tributary.payloads as p on p.shard = d.shard and p.run_id = d.run_id and p.ordinal = d.ordinal
left join tributary.steps as s on s.shard = d.shard and s.run_id = d.run_id and s.ordinal = d.ordinal
where d.shard = tributary.shard_of(%(id)s::uuid) and d.run_id = %(id)s::uuid
  and (%(step)s::text is null or d.step_id = %(step)s::text)
order by d.ordinal
