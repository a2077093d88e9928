-- Counts what of one window of a shard may be pruned.
-- Locks: none.
-- Index: steps_pkey, one window of it.
-- Caller: store.pruning.count
select coalesce(cardinality(runs), 0), coalesce(cardinality(intents), 0), next_after::text, 2147483647
from tributary.find_prunable(%(shard)s::smallint, %(after)s::uuid, %(ordinal)s::integer,
                             make_interval(secs => %(keep)s::float8), make_interval(secs => %(keep_letters)s::float8),
                             %(states)s::text[], %(tenant)s::text, %(limit)s::integer)
