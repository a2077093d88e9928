-- Takes note of what was done to a run or an intent.
-- Locks: none.
-- Index: none.
-- Caller: store.audits.record
select tributary.record_audit(%(run_id)s::uuid, %(tenant)s, %(action)s, %(name)s, %(step)s::text, %(attempt)s::integer, %(place)s,
    %(payload_hash)s::bytea, %(result_hash)s::bytea, %(payload)s::jsonb, %(result)s::jsonb, %(error)s::text, %(keep)s::float8)
