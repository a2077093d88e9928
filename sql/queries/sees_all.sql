-- Whether the session sees what is of every tenant.
-- Locks: none.
-- Index: tenant_logins_pkey.
-- Caller: store.references.sees_all
select tributary.session_tenants() is null
