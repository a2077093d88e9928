-- The same in one round trip with a transaction of its own, which wakes after its commit.
-- Locks: the key's row.
-- Index: keys_pkey, registry_pkey, workflows_pkey.
-- Caller: store.submit.intent, by _intent
call tributary.submit_alone(
    %(name)s, %(named)s, %(payload)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    %(run_at)s::timestamptz, %(delay)s::float8, %(tenant)s, %(private)s,
    null, null, null, null, null, null, null, null, null)
