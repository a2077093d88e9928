-- The items of a fan-out in their order, each with its last error (unless it completed) and the child run that it started.
-- Locks: none.
-- Index: steps_pkey, progress_pkey, attempts_pkey, payloads_pkey, runs_children.
-- Caller: store.runs.items
select i.ordinal, i.item_key, i.state::text, i.reason, i.attempt, i.result, coalesce(i.payload, q.payload) as payload, a.error,
       coalesce(i.started_at, i.claimed_at) as started_at, i.finished_at, c.child
from tributary.steps as f
join tributary.progress as p on p.shard = f.shard and p.run_id = f.run_id and p.ordinal = f.ordinal
cross join lateral (
    select * from tributary.steps as s
    where s.shard = f.shard and s.run_id = f.run_id and s.ordinal >= (p.details -> 'first')::integer
      and s.ordinal < (p.details -> 'first')::integer + (p.details -> 'items')::integer
    offset 0
) as i
-- what an item has to be for it stands inside of each, and one item is looked up at a time, whatever the planner knows of the tables
left join lateral (
    select k.payload from tributary.payloads as k
    where i.payload is null and k.shard = i.shard and k.run_id = i.run_id and k.ordinal = i.ordinal
    offset 0
) as q on true
left join lateral (
    select t.error
    from tributary.attempts as t
    where i.state <> 'completed' and t.shard = i.shard and t.run_id = i.run_id and t.ordinal = i.ordinal and t.error is not null
    order by t.seq desc limit 1
) as a on true
left join lateral (
    select r.run_id::text as child
    from tributary.runs as r
    where i.name = 'trib.workflow.v1' and r.shard = i.shard and r.parent_run_id = i.run_id and r.parent_ordinal = i.ordinal
    order by r.run_id desc limit 1
) as c on true
where f.shard = tributary.shard_of(%(id)s::uuid) and f.run_id = %(id)s::uuid and f.step_id = %(step)s and f.name = 'trib.fan.v1'
order by i.ordinal
