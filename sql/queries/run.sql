-- One run as shown: state and start are derived from its steps.
-- Locks: none.
-- Index: runs_pkey, steps_pkey, attempts_pkey, payloads_pkey, revisions_pkey, history_pkey, correlations_pkey.
-- Caller: store.runs.run
select r.run_id, r.name,
       tributary.run_state_now(r.shard, r.run_id, r.state, r.run_at) as state,
       r.reason, r.priority, r.warnings, r.labels, r.created_at, r.run_at,
       -- a workflow function is claimed anew whenever it goes on
       coalesce((select (k.events #>> '{0,at}')::timestamptz from tributary.history as k
                 where k.shard = r.shard and k.run_id = r.run_id order by k.number limit 1),
                least(live.started_at, (select min(coalesce(a.started_at, a.claimed_at)) from tributary.attempts as a
                                        where a.shard = r.shard and a.run_id = r.run_id))) as started_at,
       r.finished_at, r.result, r.error, p.payload as inputs, r.revision_id,
       r.closing_ordinal is not null as has_result, r.idempotency_key, r.tenant_id, r.phase,
       r.ending::text, r.parent_run_id::text, r.deadline,
       -- a workflow function, whose plan has one step (others are not read for this)
       exists (select from tributary.steps as m join tributary.revisions as v on v.revision_id = r.revision_id
               where m.shard = r.shard and m.run_id = r.run_id and m.ordinal = 1 and m.step_id = 'main' and v.plan ? 'function') as is_function,
       c.correlation_id, c.business_id, c.traceparent
from tributary.runs as r
left join tributary.correlations as c on c.shard = r.shard and c.run_id = r.run_id
left join tributary.payloads as p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
cross join lateral (
    select min(coalesce(s.started_at, s.claimed_at)) as started_at
    from tributary.steps as s
    where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
) as live
where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
