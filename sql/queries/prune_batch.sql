-- Prunes one window of finished work on one shard.
-- Locks: runs by id, then steps, all by SKIP LOCKED.
-- Index: steps_pkey, one window of it; all that belongs to a row by its key.
-- Caller: store.pruning.prune
select runs, intents, next_after::text, next_ordinal
from tributary.prune_batch(%(shard)s::smallint, %(after)s::uuid, %(ordinal)s::integer,
                           make_interval(secs => %(keep)s::float8), make_interval(secs => %(keep_letters)s::float8),
                           %(states)s::text[], %(tenant)s::text, %(limit)s::integer)
