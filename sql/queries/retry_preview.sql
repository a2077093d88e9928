-- What a retry would run again.
-- Locks: the run, then its steps, until the transaction ends.
-- Index: runs_pkey, steps_pkey, edges_pkey.
-- Caller: store.control.retry_preview
select step_id, item_key, state, again
from tributary.retry_preview(%(id)s::uuid, %(from)s::text[], %(only)s::text[])
