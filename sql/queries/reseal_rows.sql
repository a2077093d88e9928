-- Writes a batch of values that were sealed anew where the old ones still stand; true for each that was written.
-- Locks: the rows, in the order of their keys.
-- Index: as in the function.
-- Caller: store.rotation.write
select u.i, tributary.reseal_row(%(shard)s::smallint, %(source)s, array(select pg_catalog.jsonb_array_elements_text(u.item -> 'at')),
                                 u.item -> 'old', u.item -> 'new')
from pg_catalog.jsonb_array_elements(%(items)s::jsonb) with ordinality as u(item, i)
order by u.i
