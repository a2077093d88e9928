-- Removes a client that waits no more.
-- Locks: its rows.
-- Index: as in the function.
-- Caller: store.ends.leave
select tributary.leave_waiters(%(waiter)s::uuid)
