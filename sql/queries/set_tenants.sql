-- Binds a login to tenants; null unbinds it.
-- Locks: the login's row.
-- Index: tenant_logins_pkey.
-- Caller: store.tenants.bind
select tributary.set_tenants(%(login)s, %(tenants)s::text[])
