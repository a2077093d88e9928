-- The steps of a run in order with their last errors; with the items of fan-outs, the newest child runs, and what undecided ones will be.
-- Locks: none.
-- Index: steps_pkey, attempts_pkey, progress_pkey, processes_pkey, runs_children, payloads_pkey, waits_pkey, history_pkey.
-- Caller: store.runs.steps
select s.ordinal, s.step_id, case when s.name = 'trib.fan.v1' then coalesce(p.details ->> 'name', s.name) else coalesce(u.name, s.name) end as name,
       s.state::text, s.attempt, s.max_attempts, s.result, s.reason, s.queue, case when u.name is null then s.priority else u.priority end as priority,
       s.flags, s.run_at, case when s.name = 'trib.fan.v1' then p.at when s.state in ('running', 'waiting', 'completed', 'discarded', 'cancelled') then coalesce(h.began_at, s.started_at, s.claimed_at) end as started_at, s.finished_at, a.error,
       case when s.name <> 'trib.fan.v1' then p.details end as details, o.name as worker, f.items, c.child, w.terms
from tributary.steps as s
-- what a step has to be for it stands inside of each: nothing is looked up for others
left join lateral (
    select t.error
    from tributary.attempts as t
    where s.state <> 'completed' and t.shard = s.shard and t.run_id = s.run_id and t.ordinal = s.ordinal and t.error is not null
    order by t.seq desc limit 1
) as a on true
left join tributary.progress as p
    on p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal and (s.state = 'running' or s.name = 'trib.fan.v1' or s.flags & 8192 = 8192)
-- a workflow function is claimed anew whenever it goes on
left join lateral (
    select min((k.events #>> '{0,at}')::timestamptz) as began_at
    from tributary.history as k
    where s.flags & 8192 = 8192 and s.name not in ('trib.fan.v1', 'trib.workflow.v1') and k.shard = s.shard and k.run_id = s.run_id
    offset 0
) as h on true
left join tributary.processes as o on o.process_id = s.process_id
left join lateral (
    select jsonb_object_agg(g.state, g.n) as items
    from (
        select i.state, count(*) as n
        from tributary.steps as i
        where s.name = 'trib.fan.v1' and i.shard = s.shard and i.run_id = s.run_id and i.ordinal >= (p.details -> 'first')::integer
          and i.ordinal < (p.details -> 'first')::integer + (p.details -> 'items')::integer
        group by i.state
    ) as g
) as f on true
left join lateral (
    select r.run_id::text as child
    from tributary.runs as r
    where s.name = 'trib.workflow.v1' and r.shard = s.shard and r.parent_run_id = s.run_id and r.parent_ordinal = s.ordinal
    order by r.run_id desc limit 1
) as c on true
left join lateral (
    select q.options ->> 'name' as name, coalesce((q.options #>> '{priority,value}')::integer, 0) as priority
    from tributary.payloads as q
    where s.name = 'trib.options.v1' and q.shard = s.shard and q.run_id = s.run_id and q.ordinal = s.ordinal
    offset 0
) as u on true
left join lateral (
    select jsonb_strip_nulls(jsonb_build_object('for', k.kind, 'signal', k.signal, 'payload', k.payload, 'prompt', k.prompt, 'form', k.form))
           || jsonb_build_object('since', k.began_at, 'until', k.due_at, 'on_timeout', case when k.goes_on then 'continue' else 'fail' end) as terms
    from tributary.waits as k
    where s.state = 'waiting' and k.shard = s.shard and k.run_id = s.run_id and k.ordinal = s.ordinal
    offset 0
) as w on true
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.kind = 'step' and s.flags & 256 = 0
order by s.ordinal
