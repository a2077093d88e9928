-- Rejects what a step asks for; returns the step's state.
-- Locks: the root run, then the step.
-- Index: runs_pkey, steps_pkey, waits_pkey.
-- Caller: store.control.reject
select tributary.reject(%(id)s::uuid, %(step)s, %(reason)s, %(sender)s)
