-- Removes what has expired from the step cache, 500 entries of each shard at a time; how many that were.
-- Locks: as purge_cached.
-- Index: step_cache_expires.
-- Caller: store.membership.prune_cache
select coalesce(sum(tributary.purge_cached(n.shard::smallint, null, true, 500)), 0)::integer
from generate_series(0, tributary.shard_count() - 1) as n(shard)
