-- Registers for which runs and intents a client waits, and that it still does.
-- Locks: the waiter's row.
-- Index: as in the function.
-- Caller: store.ends.register
select tributary.await_ends(%(waiter)s::uuid, %(new)s::uuid[], %(done)s::uuid[], %(probe)s::text)
