-- Cancels a run or an intent; returns the state it was in.
-- Locks: the run, then its steps.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.control.cancel
select tributary.cancel(%(id)s::uuid, %(reason)s)
