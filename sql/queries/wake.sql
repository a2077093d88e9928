-- Tells waiting supervisors that a queue has work.
-- Locks: none.
-- Index: none; workers is small.
-- Caller: store.submit.wake
select tributary.wake(array[%(queue)s::text])
