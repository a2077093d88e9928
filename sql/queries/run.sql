-- One run as shown: state and start are derived from its steps.
-- Locks: none.
-- Index: runs_pkey, steps_pkey, attempts_pkey, payloads_pkey.
-- Caller: store.runs.run
select r.run_id, r.name,
       case when r.state <> 'running' then r.state::text
            when r.run_at > tributary.clock() and not coalesce(live.begun, false) then 'scheduled'
            when live.running or live.closing then 'running'
            when live.available then case when live.begun then 'running' else 'available' end
            else 'waiting' end as state,
       r.reason, r.priority, r.warnings, r.labels, r.created_at, r.run_at,
       least(live.started_at, (select min(coalesce(a.started_at, a.claimed_at)) from tributary.attempts as a
                               where a.shard = r.shard and a.run_id = r.run_id)) as started_at,
       r.finished_at, r.result, r.error, p.payload as inputs, r.revision_id,
       r.closing_ordinal is not null as has_result, r.idempotency_key, r.tenant_id, r.phase
from tributary.runs as r
left join tributary.payloads as p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
cross join lateral (
    select min(coalesce(s.started_at, s.claimed_at)) as started_at,
           bool_or(s.state = 'running') as running,
           bool_or(s.state = 'available') filter (where s.kind = 'step') as available,
           bool_or(s.kind = 'closing' and s.state in ('available', 'scheduled')) as closing,
           bool_or(s.attempt > 0 or s.claimed_at is not null or s.finished_at is not null) as begun
    from tributary.steps as s
    where s.shard = r.shard and s.run_id = r.run_id
) as live
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
