-- Runs and intents that carry all of the given ids, newest first; null restricts nothing, but one is given.
-- Locks: none.
-- Index: see find_correlated.
-- Caller: store.correlations.ids
select c.run_id::text
from tributary.find_correlated(
    %(trace)s::text, %(correlation)s::text, %(business)s::text, %(tenant)s::text, %(after)s::uuid, %(limit)s::integer) as c(run_id)
