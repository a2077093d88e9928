-- Records one intent; a known key returns the row that holds it.
-- Locks: the key's row.
-- Index: keys_pkey, registry_pkey.
-- Caller: store.submit.intent
select r.run_id, r.created, r.state, r.queue, r.known
from tributary.submit_row(
    %(name)s, %(payload)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    coalesce(%(run_at)s::timestamptz, tributary.clock() + make_interval(secs => %(delay)s::float8)),
    %(tenant)s, %(private)s, null) as r
