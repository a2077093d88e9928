-- Public. The durable inbox: any SQL client inserts name and payload. Its columns and statuses are those of its ancestor;
-- its priority is 100 minus the priority elsewhere (lower first). A known key of the same name returns the existing row.
create or replace view tributary.workflow_intent with (security_invoker = true) as
select s.run_id as intent_id, s.name, coalesce(s.payload, p.payload) as payload,
       case s.state
           when 'running' then 'running'
           when 'completed' then 'succeeded'
           when 'discarded' then 'deadletter'
           when 'cancelled' then 'cancelled'
           else case when s.reason in ('retry', 'crashed') then 'failed' else 'pending' end
       end as status,
       100 - s.priority::integer as priority,
       coalesce(s.run_at, s.created_at) as run_after,
       p.idempotency_key,
       s.attempt::integer as attempt_count, s.max_attempts::integer as max_attempts,
       owner.name as claimed_by, owner.beat_at + interval '10 seconds' as lease_expires_at,
       case when s.attempt > 0 then (
           select a.error ->> 'message' from tributary.attempts a
           where a.shard = s.shard and a.run_id = s.run_id and a.ordinal = 0
           order by a.seq desc limit 1) end as last_error,
       s.result, s.created_at,
       greatest(s.created_at, s.claimed_at, s.finished_at) as updated_at,
       s.tenant_id
from tributary.steps s
left join tributary.payloads p on p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal
left join tributary.processes owner on owner.process_id = s.process_id
where s.kind = 'intent';

comment on view tributary.workflow_intent is 'Insert name and payload to record an intent. UPDATE and DELETE are refused: use tributary.cancel, tributary.retry.';
