-- Approves what a step asks for; returns the step's state.
-- Locks: the root run, then the step.
-- Index: runs_pkey, steps_pkey, waits_pkey.
-- Caller: store.control.approve
select tributary.approve(%(id)s::uuid, %(step)s, %(answer)s::jsonb, %(sender)s)
