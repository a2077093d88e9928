-- Limits a queue over all workers; null leaves a limit as it is.
-- Locks: the queue's row and its counter.
-- Index: queues_pkey, queue_counters_pkey.
-- Caller: store.fleet.limit
select l.max_running, l.max_rate from tributary.set_queue(%(name)s, %(concurrency)s::integer, %(rate)s::text) as l
