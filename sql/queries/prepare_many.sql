-- Resolves options once for many intents of one name.
-- Locks: none.
-- Index: registry_pkey.
-- Caller: store.submit.prepare
with due as materialized (
    select coalesce(%(run_at)s::timestamptz, tributary.clock() + make_interval(secs => %(delay)s::float8)) as at
)
select p.shards, p.queue, p.priority, p.max_attempts, p.options, p.state::text, p.reason, p.first_seq, p.now, p.wanted, due.at,
       -- COPY passes no policy
       has_table_privilege('tributary.steps', 'insert') and not row_security_active('tributary.steps') as direct, t.tenant
from due
cross join (select tributary.tenant_to_submit(%(tenant)s) as tenant offset 0) as t
cross join lateral tributary.prepare_many(%(name)s, %(submit)s::jsonb, %(config)s::jsonb, due.at, t.tenant) as p
