-- Limits a tenant over all workers; null leaves a limit as it is.
-- Locks: the tenant's row and its counter.
-- Index: tenants_pkey, queue_counters_pkey.
-- Caller: store.tenants.limit
select l.max_running, l.max_rate from tributary.set_tenant(%(name)s, %(concurrency)s::integer, %(rate)s::text) as l
