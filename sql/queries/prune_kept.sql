-- Prunes, or counts, finished runs of one workflow on one shard by its own keep.
-- Locks: runs by id, by SKIP LOCKED.
-- Index: runs_kept, one window of it; all that belongs to a run by its key.
-- Caller: store.keeping.prune_kept
select k.runs, k.next_after::text
from tributary.prune_kept(%(shard)s::smallint, %(name)s, %(after)s::uuid, %(from)s::uuid, %(days)s::integer,
                          make_interval(secs => %(keep_letters)s::float8), %(limit)s::integer, %(act)s) as k
