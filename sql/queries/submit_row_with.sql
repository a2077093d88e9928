-- Records one intent that is unique or expires, in the transaction that there is; whoever holds the unique key is returned.
-- Locks: the key's row, then the intent that holds it.
-- Index: unique_keys_pkey, keys_pkey, registry_pkey.
-- Caller: store.submit._special_intent
select r.run_id, r.created, r.state, r.queue, r.known,
       case when not r.known then array(select g.name from tributary.registry as g where g.offered_at is not null
                                        union all select w.name from tributary.workflows as w) end
from tributary.submit_row_with(
    %(terms)s::jsonb, %(name)s, %(payload)s::jsonb, %(key)s, %(submit)s::jsonb, %(config)s::jsonb,
    coalesce(%(run_at)s::timestamptz, tributary.clock() + make_interval(secs => %(delay)s::float8)), %(tenant)s, %(private)s) as r
