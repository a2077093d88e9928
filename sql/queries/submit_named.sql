-- Records one intent in the transaction that the caller has begun; a known key returns the row that holds it.
-- Locks: the key's row.
-- Index: keys_pkey, registry_pkey, workflows_pkey.
-- Caller: store.submit.intent, by _intent
select r.run_id, r.created, r.state, r.queue, r.known, r.names, r.revision_id, r.hash, r.plan
from tributary.submit_named(
    %(name)s, %(named)s, %(payload)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    %(run_at)s::timestamptz, %(delay)s::float8, %(tenant)s, %(private)s) as r
