-- A new id for work whose payload is sealed for it before it is submitted, and its tenant.
-- Locks: none.
-- Index: tenant_logins_pkey.
-- Caller: store.submit_sealed.place
select p.id::text, p.tenant
from tributary.place_to_seal(%(tenant)s, %(key)s) as p
