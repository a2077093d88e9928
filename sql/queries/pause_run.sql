-- Pauses a run.
-- Locks: root run, then steps.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.control.pause
select tributary.pause_run(%(id)s::uuid)
