-- Records a run of a stored revision in a transaction of its own, which wakes after its commit.
-- Locks: the key's row.
-- Index: revisions_pkey, keys_pkey.
-- Caller: store.submit.run_of_revision
call tributary.submit_run_alone(
    %(revision)s::uuid, null, null, null, %(name)s, %(inputs)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    %(run_at)s::timestamptz, %(delay)s::float8, %(labels)s::jsonb, %(tenant)s, %(payloads)s::jsonb, %(private)s, %(runner)s::bigint,
    null, null, null, null)
