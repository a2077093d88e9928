-- Forgets unique keys of one window whose work has ended.
-- Locks: the keys' rows, by SKIP LOCKED.
-- Index: unique_keys_pkey, one window of it.
-- Caller: store.keeping.forget
select f.forgotten, f.tenant, f.name, f.key
from tributary.forget_unique(%(shard)s::smallint, %(tenant)s, %(name)s, %(key)s, %(limit)s::integer) as f
