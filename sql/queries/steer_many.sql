-- Does one thing to each of many runs, intents or dead letters of a shard, in one transaction; a row for each.
-- Locks: root runs by id, then steps.
-- Index: runs_pkey, steps_pkey, dead_letters_pkey.
-- Caller: store.bulk.act
select s.place, s.state, s.code, s.message
from tributary.steer_many(%(shard)s::smallint, %(action)s, %(ids)s::uuid[], %(steps)s::text[], %(given)s::jsonb) as s
