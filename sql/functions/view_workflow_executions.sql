-- Public. Runs with their state as shown.
create or replace view tributary.workflow_executions with (security_invoker = true) as
select r.run_id as id, r.name as workflow_name, tributary.run_state_now(r.shard, r.run_id, r.state, r.run_at) as state,
       r.labels, r.priority, r.remaining, r.failed, r.warnings, r.result, r.error, r.reason, r.idempotency_key, r.tenant_id,
       r.root_id, r.parent_run_id, r.revision_id, r.created_at, r.run_at as run_after, r.finished_at
from tributary.runs r;
