-- Puts a run (from its bad steps or the named ones) or an intent back to work; returns the new state.
-- Locks: the run, then its steps.
-- Index: runs_pkey, steps_pkey, edges_pkey.
-- Caller: store.control.retry
select tributary.retry(%(id)s::uuid, %(steps)s::text[])
