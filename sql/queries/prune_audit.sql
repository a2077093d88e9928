-- Removes audit rows whose time is over.
-- Locks: the rows by SKIP LOCKED.
-- Index: audit_log_expired.
-- Caller: store.audits.prune
select tributary.prune_audit(%(shard)s::smallint, %(limit)s)
