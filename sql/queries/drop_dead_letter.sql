-- Forgets a dead letter; the work itself stays as it is.
-- Locks: the dead letter.
-- Index: dead_letters_pkey.
-- Caller: store.dead_letters.drop
delete from tributary.dead_letters as d
where d.shard = tributary.shard_of(%(id)s::uuid) and d.run_id = %(id)s::uuid and d.ordinal = %(ordinal)s::integer
returning d.run_id
