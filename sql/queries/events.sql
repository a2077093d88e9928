-- The events of one run or intent, oldest first: those behind a place, or the newest.
-- Locks: none.
-- Index: event_log_of_run, steps_pkey, attempts_pkey, runs_pkey.
-- Caller: store.events.page
select p.run_id, p.at, p.type, p.step_id, p.ordinal, p.attempt, p.data, c.correlation_id, c.business_id
from (
    select e.run_id, e.at, e.type, e.step_id, e.ordinal, e.attempt, e.data
    from tributary.events as e
    where e.shard = tributary.shard_of(%(id)s::uuid) and e.run_id = %(id)s::uuid
      and (%(since)s::timestamptz is null or e.at >= %(since)s::timestamptz)
      and (%(types)s::text[] is null or e.type = any (%(types)s::text[]))
      and (%(type)s::text is null
           or (e.at, e.run_id, coalesce(e.ordinal, case when e.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), e.type)
              > (%(since)s::timestamptz, %(last_id)s::uuid, %(ordinal)s::integer, %(type)s::text))
    order by case when %(type)s::text is null then e.at end desc, e.at, e.run_id, coalesce(e.ordinal, case when e.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), e.type
    limit %(limit)s::integer
) as p
left join tributary.correlations as c on c.shard = tributary.shard_of(%(id)s::uuid) and c.run_id = p.run_id
order by p.at, p.run_id, coalesce(p.ordinal, case when p.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), p.type
