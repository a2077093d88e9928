-- Tells workers to pause, resume, drain or stop; returns the ids of those told.
-- Locks: rows of workers by id.
-- Index: workers_pkey.
-- Caller: store.fleet.command
select told::text from tributary.command_worker(%(name)s, %(command)s) as told
