-- What the step cache holds, by handler, the largest first.
-- Locks: none.
-- Index: none; all of step_cache is read, but for the values.
-- Caller: store.cache.postgres.PostgresStore.stats
select c.step_name, count(*) filter (where c.state = 'filled') as entries, count(*) filter (where c.state = 'filling') as filling,
       count(*) filter (where c.state = 'filled' and c.expires_at <= tributary.clock()) as expired,
       coalesce(sum(octet_length(c.value)), 0)::bigint as bytes,
       min(c.created_at) as oldest
from tributary.step_cache as c
group by c.step_name
order by bytes desc, c.step_name
