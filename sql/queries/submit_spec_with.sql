-- Keeps a revision and records a run of it that is unique or expires, in one statement.
-- Locks: the key's row, then the run that holds it.
-- Index: unique_keys_pkey, revisions_pkey, keys_pkey.
-- Caller: store.submit.run_of_spec
select r.run_id, r.created, r.state, r.unknown
from tributary.submit_run_with(
    %(terms)s::jsonb, tributary.save_revision(%(name)s, %(hash)s, %(source)s, %(plan)s::jsonb),
    %(name)s, %(inputs)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    coalesce(%(run_at)s::timestamptz, tributary.clock() + make_interval(secs => %(delay)s::float8)),
    %(labels)s::jsonb, %(tenant)s, %(payloads)s::jsonb, %(private)s, %(runner)s::bigint) as r
