-- Records many intents of one name, for those who may not write the tables; ids in the order of the payloads.
-- Locks: none.
-- Index: registry_pkey.
-- Caller: store.submit.one_by_one
select r.run_id::text
from tributary.submit_intents(
    %(name)s, %(payloads)s::text[]::jsonb[], %(submit)s::jsonb, %(config)s::jsonb, %(at)s::timestamptz, %(tenant)s, %(private)s) as r
