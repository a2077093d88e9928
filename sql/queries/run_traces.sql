-- The conditions that kept steps of a run from running, clause by clause; the newest of each step.
-- Locks: none.
-- Index: event_log_of_run.
-- Caller: store.runs.traces
select distinct on (l.ordinal) l.ordinal, l.data -> 'condition' as condition
from tributary.event_log as l
where l.shard = tributary.shard_of(%(id)s::uuid) and l.run_id = %(id)s::uuid and l.type = 'step_skipped' and l.data ? 'condition'
order by l.ordinal, l.event_id desc
