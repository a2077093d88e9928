-- A window of rows that may hold sealed values; the whole table is visited, window by window.
-- Locks: none.
-- Index: as in the function.
-- Caller: store.rotation.window
select w.at, w.value, w.busy
from tributary.sealed_rows(%(shard)s::smallint, %(source)s, %(after)s::text[], %(limit)s::integer, %(pattern)s) as w
