-- Lets workers claim from a queue again and wakes them.
-- Locks: the queue's row.
-- Index: queues_pkey.
-- Caller: store.fleet.resume
update tributary.queues as q
set paused = false, paused_at = null
where q.name = %(name)s and q.paused
returning tributary.wake(array[q.name])
