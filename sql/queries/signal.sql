-- Sends a signal to a run; returns its number in the run.
-- Locks: the root run, then the step that takes it.
-- Index: runs_pkey, waits_pkey, signals_pkey, signals_keys.
-- Caller: store.control.signal
select tributary.signal(%(id)s::uuid, %(name)s, %(payload)s::jsonb, %(key)s, %(sender)s)
