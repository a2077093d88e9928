-- What has ended together with these attempts: their steps, those that their ends ended, and runs; to make spans of. A finish of a run is alone in its time (clock() is read below the lock of the run), so rows with one finished_at were ended by one finish.
-- Locks: none.
-- Index: steps_pkey, runs_pkey, attempts_pkey, correlations_pkey.
-- Caller: store.spans.ended
with recursive noted as materialized (
    select s.shard, s.run_id, s.ordinal, s.seq, s.state, s.finished_at as at
    from unnest(%(run_ids)s::uuid[], %(ordinals)s::integer[], %(seqs)s::bigint[]) as n(run_id, ordinal, seq)
    cross join lateral (
        select k.* from tributary.steps as k
        where k.shard = %(shard)s::smallint and k.run_id = n.run_id and k.ordinal = n.ordinal and k.seq = n.seq
        offset 0
    ) as s
), ends as (
    select distinct n.shard, n.run_id, n.at, 0 as depth from noted as n where n.at is not null
    union
    select r.shard, r.parent_run_id, e.at, e.depth + 1
    from ends as e
    cross join lateral (
        select k.shard, k.parent_run_id from tributary.runs as k
        where k.shard = %(shard)s::smallint and k.run_id = e.run_id and k.finished_at = e.at and k.parent_run_id is not null
        offset 0
    ) as r
)
select 'open' as what, n.shard, n.run_id::text, n.ordinal, n.seq, null::text as name, null::text as step_id, null::text as item_key, n.state::text, null::text as reason,
       null::integer as attempts, null::smallint as attempt_base, null::text as queue, null::text as tenant, null::timestamptz as began_at, null::timestamptz as ended_at,
       null::text as traceparent, null::text as correlation_id, null::text as business_id, null::text as parent_run_id, null::integer as parent_ordinal,
       null::smallint as parent_base, 0 as depth
from noted as n
where n.state = 'running'
union all
select 'step', s.shard, s.run_id::text, s.ordinal, s.seq, s.name, s.step_id, s.item_key, s.state::text, s.reason, s.attempt - s.attempt_base, s.attempt_base, s.queue,
       s.tenant_id, least(coalesce(s.started_at, s.claimed_at), a.began_at), s.finished_at, c.traceparent, c.correlation_id, c.business_id, null, null, null, e.depth
from ends as e
cross join lateral (
    select k.* from tributary.steps as k
    where k.shard = %(shard)s::smallint and k.run_id = e.run_id and k.finished_at = e.at and k.claimed_at is not null and k.kind <> 'intent'
    offset 0
) as s
left join lateral (
    select min(coalesce(k.started_at, k.claimed_at)) as began_at from tributary.attempts as k
    where k.shard = %(shard)s::smallint and k.run_id = s.run_id and k.ordinal = s.ordinal and k.attempt > s.attempt_base
) as a on true
left join tributary.correlations as c on c.shard = %(shard)s::smallint and c.run_id = s.run_id
union all
select 'run', r.shard, r.run_id::text, 0, 0, r.name, null, null, r.state::text, r.reason, null, null, null,
       r.tenant_id, coalesce(r.run_at, r.created_at), r.finished_at, c.traceparent, c.correlation_id, c.business_id, r.parent_run_id::text, r.parent_ordinal, p.attempt_base, e.depth
from ends as e
cross join lateral (
    select k.* from tributary.runs as k where k.shard = %(shard)s::smallint and k.run_id = e.run_id and k.finished_at = e.at
    offset 0
) as r
left join lateral (
    select k.attempt_base from tributary.steps as k where k.shard = %(shard)s::smallint and k.run_id = r.parent_run_id and k.ordinal = r.parent_ordinal
    offset 0
) as p on true
left join tributary.correlations as c on c.shard = %(shard)s::smallint and c.run_id = r.run_id
order by depth
