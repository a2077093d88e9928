-- Changes work that waits; returns its new state.
-- Locks: the run, then its steps.
-- Index: runs_pkey, steps_pkey, payloads_pkey.
-- Caller: store.control.change
select tributary.change(%(id)s::uuid, %(priority)s::integer, %(queue)s,
                        coalesce(%(run_at)s::timestamptz, tributary.clock() + make_interval(secs => %(delay)s::float8)),
                        %(payload)s::jsonb, %(step)s)
