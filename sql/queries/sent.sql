-- Whether a signal has been taken by a step of its run.
-- Locks: none.
-- Index: signals_pkey.
-- Caller: store.control.sent
select g.taken_by is not null
from tributary.signals as g
where g.shard = tributary.shard_of(%(id)s::uuid) and g.run_id = %(id)s::uuid and g.number = %(number)s
