-- Public. Every transition: stored rows for the unusual, rows derived from timestamps for what went well.
create or replace view tributary.events with (security_invoker = true) as
select l.run_id, l.at, l.type, s.step_id, l.ordinal, l.attempt, l.data, l.tenant_id, l.shard
from tributary.event_log l
left join tributary.steps s on s.shard = l.shard and s.run_id = l.run_id and s.ordinal = l.ordinal
union all
select s.run_id, s.created_at, 'intent_created', null, s.ordinal, null, jsonb_build_object('name', s.name), s.tenant_id, s.shard
from tributary.steps s where s.kind = 'intent'
union all
select s.run_id, coalesce(s.started_at, s.claimed_at), 'step_started', s.step_id, s.ordinal, s.attempt, null, s.tenant_id, s.shard
from tributary.steps s where s.claimed_at is not null and s.attempt > 0 and s.state in ('running', 'completed') and s.reason is distinct from 'cached' and s.kind <> 'closing'
union all
select s.run_id, s.finished_at, 'step_completed', s.step_id, s.ordinal, s.attempt, null, s.tenant_id, s.shard
from tributary.steps s where s.state = 'completed' and s.finished_at is not null and s.kind <> 'closing'
union all
select s.run_id, s.finished_at, 'step_skipped', s.step_id, s.ordinal, null, jsonb_build_object('reason', s.reason), s.tenant_id, s.shard
from tributary.steps s where s.state = 'skipped' and s.reason in ('upstream', 'aborted') and s.finished_at is not null and s.kind <> 'closing'
union all
select a.run_id, a.started_at, 'step_started', s.step_id, a.ordinal, a.attempt, null, a.tenant_id, a.shard
from tributary.attempts a join tributary.steps s on s.shard = a.shard and s.run_id = a.run_id and s.ordinal = a.ordinal
where a.started_at is not null
union all
select r.run_id, r.created_at, 'run_created', null, null, null, jsonb_build_object('name', r.name), r.tenant_id, r.shard
from tributary.runs r
union all
select r.run_id, r.finished_at, 'run_' || r.state, null, null, null,
       jsonb_strip_nulls(jsonb_build_object('warnings', nullif(r.warnings, 0), 'failed', nullif(r.failed, 0))), r.tenant_id, r.shard
from tributary.runs r where r.state in ('completed', 'failed') and r.finished_at is not null;
