-- The events of one run or intent, oldest first.
-- Locks: none.
-- Index: event_log_of_run, steps_pkey, attempts_pkey, runs_pkey.
-- Caller: store.events.of
select e.run_id, e.at, e.type, e.step_id, e.ordinal, e.attempt, e.data
from tributary.events as e
where e.run_id = %(id)s::uuid
  and (%(at)s::timestamptz is null or e.at > %(at)s::timestamptz)
order by e.at, e.ordinal nulls first, e.type
limit %(limit)s::integer
