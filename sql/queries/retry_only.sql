-- Runs named steps or items of a run once more; returns the new state.
-- Locks: the run, then its steps.
-- Index: runs_pkey, steps_pkey, edges_pkey.
-- Caller: store.control.retry_only
select tributary.retry_only(%(id)s::uuid, %(steps)s::text[])
