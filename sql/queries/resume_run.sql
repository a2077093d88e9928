-- Lets a paused run go on.
-- Locks: root run, then steps.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.control.resume
select tributary.resume_run(%(id)s::uuid)
