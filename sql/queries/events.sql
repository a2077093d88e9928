-- The events of one run or intent, oldest first: those behind a cursor, or the newest.
-- Locks: none.
-- Index: event_log_of_run, steps_pkey, attempts_pkey, runs_pkey.
-- Caller: store.events.page
select p.run_id, p.at, p.type, p.step_id, p.ordinal, p.attempt, p.data
from (
    select e.run_id, e.at, e.type, e.step_id, e.ordinal, e.attempt, e.data
    from tributary.events as e
    where e.shard = tributary.shard_of(%(id)s::uuid) and e.run_id = %(id)s::uuid
      and (%(at)s::timestamptz is null
           or (e.at, e.run_id, coalesce(e.ordinal, -1), e.type)
              > (%(at)s::timestamptz, %(last_id)s::uuid, %(ordinal)s::integer, %(type)s::text))
    order by case when %(at)s::timestamptz is null then e.at end desc, e.at, e.run_id, coalesce(e.ordinal, -1), e.type
    limit %(limit)s::integer
) as p
order by p.at, p.run_id, coalesce(p.ordinal, -1), p.type
