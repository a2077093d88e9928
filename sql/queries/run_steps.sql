-- The steps of a run in order, each with its last error (unless it completed) and progress.
-- Locks: none.
-- Index: steps_pkey, attempts_pkey, progress_pkey, processes_pkey.
-- Caller: store.runs.steps
select s.ordinal, s.step_id, s.name, s.state::text, s.attempt, s.max_attempts, s.result, s.reason, s.queue, s.priority,
       s.flags, s.run_at, case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end as started_at, s.finished_at, a.error, p.details, o.name as worker
from tributary.steps as s
left join lateral (
    select t.error
    from tributary.attempts as t
    where t.shard = s.shard and t.run_id = s.run_id and t.ordinal = s.ordinal and t.error is not null
    order by t.seq desc limit 1
) as a on s.state <> 'completed'
left join tributary.progress as p
    on p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal and s.state = 'running'
left join tributary.processes as o on o.process_id = s.process_id
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.kind = 'step'
order by s.ordinal
