-- One intent as shown.
-- Locks: none.
-- Index: steps_pkey, payloads_pkey, progress_pkey, processes_pkey, correlations_pkey.
-- Caller: store.intents.intent
select s.run_id, s.name, s.state::text, s.reason, s.queue, s.priority, s.attempt, s.max_attempts, s.created_at, s.run_at,
       s.claimed_at, case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end as started_at, s.finished_at, s.result,
       coalesce(s.payload, p.payload) as payload, p.options, g.details, o.name as worker, s.tenant_id,
       c.correlation_id, c.business_id, c.traceparent
from tributary.steps as s
left join tributary.payloads as p on p.shard = s.shard and p.run_id = s.run_id and p.ordinal = 0
left join tributary.correlations as c on c.shard = s.shard and c.run_id = s.run_id
left join tributary.progress as g on g.shard = s.shard and g.run_id = s.run_id and g.ordinal = 0 and s.state = 'running'
left join tributary.processes as o on o.process_id = s.process_id
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.ordinal = 0 and s.kind = 'intent'
