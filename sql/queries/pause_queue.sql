-- Stops claims from a queue; what runs goes on.
-- Locks: the queue's row.
-- Index: queues_pkey.
-- Caller: store.fleet.pause
insert into tributary.queues (name, paused, paused_at)
values (%(name)s, true, tributary.clock())
on conflict (name) do update
set paused = true, paused_at = coalesce(tributary.queues.paused_at, excluded.paused_at)
returning paused_at
