-- Runs and intents that carry all of the given ids, newest first; null restricts nothing, but one is given.
-- Locks: none.
-- Index: correlations_by_trace, correlations_by_id or correlations_by_business; the first that is asked for.
-- Caller: store.correlations.ids
select found.run_id::text
from (
    (select c.run_id, c.correlation_id, c.business_id, c.traceparent, c.tenant_id from tributary.correlations as c
     where %(trace)s::text is not null and c.traceparent is not null and substr(c.traceparent, 4, 32) = %(trace)s::text
       and (%(correlation)s::text is null or c.correlation_id = %(correlation)s::text)
       and (%(business)s::text is null or c.business_id = %(business)s::text)
       and (%(tenant)s::text is null or c.tenant_id = %(tenant)s::text) and c.run_id < %(after)s::uuid
     order by c.run_id desc limit %(limit)s::integer)
    union all
    (select c.run_id, c.correlation_id, c.business_id, c.traceparent, c.tenant_id from tributary.correlations as c
     where %(trace)s::text is null and c.correlation_id is not null and c.correlation_id = %(correlation)s::text
       and (%(business)s::text is null or c.business_id = %(business)s::text)
       and (%(tenant)s::text is null or c.tenant_id = %(tenant)s::text) and c.run_id < %(after)s::uuid
     order by c.run_id desc limit %(limit)s::integer)
    union all
    (select c.run_id, c.correlation_id, c.business_id, c.traceparent, c.tenant_id from tributary.correlations as c
     where %(trace)s::text is null and %(correlation)s::text is null and c.business_id is not null and c.business_id = %(business)s::text
       and (%(tenant)s::text is null or c.tenant_id = %(tenant)s::text) and c.run_id < %(after)s::uuid
     order by c.run_id desc limit %(limit)s::integer)
) as found
order by found.run_id desc
