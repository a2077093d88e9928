-- The steps of a run, one of them, an item of a fan-out, or an intent, with all that tells why it is where it is.
-- Locks: none.
-- Index: steps_pkey, attempts_pkey, registry_pkey, queues_pkey, queue_slots_pkey, waits_pkey.
-- Caller: store.facts.facts
select s.ordinal, s.step_id, s.kind::text, s.name, s.state::text, s.reason, s.queue, s.attempt, s.max_attempts, s.run_at,
       case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end as started_at,
       s.finished_at, a.error, o.name as worker, o.pid,
       coalesce(q.paused, false) as paused, q.paused_at, g.offered_at is not null as offered, coalesce(g.is_enabled, true) as enabled,
       coalesce(g.runtime, 'python') as runtime,
       (select coalesce(array_agg(v.name order by v.name), '{}') from tributary.workers as v
        where v.beat_at > tributary.clock() - interval '10 seconds' and v.state = 'running'
          and exists (select from unnest(v.queues) as served where split_part(served, ':', 1) = s.queue)) as servers,
       (select coalesce(array_agg(v.name order by v.name), '{}') from tributary.workers as v
        where v.beat_at > tributary.clock() - interval '10 seconds' and v.state = 'paused'
          and exists (select from unnest(v.queues) as served where split_part(served, ':', 1) = s.queue)) as resting,
       exists (select from tributary.workers as v where v.beat_at > tributary.clock() - interval '10 seconds') as any_worker,
       s.lone_crashes, s.flags, s.item_key, tributary.clock() as now,
       q.concurrency, tributary.rate_text(q.rate, q.rate_per) as rate,
       -- 0 where nothing limits it, too
       case when q.concurrency is null and q.rate is null then 0 else tributary.queue_opens(s.queue) end as opens_in,
       -- the engine's own steps are everybody's
       s.name in ('trib.close.v1', 'trib.fan.v1', 'trib.workflow.v1', 'trib.options.v1', 'trib.wait.v1', 'trib.approve.v1')
       or exists (select from tributary.workers as v
                  where v.beat_at > tributary.clock() - interval '10 seconds' and v.state = 'running' and s.name = any (v.names)
                    and exists (select from unnest(v.queues) as served where split_part(served, ':', 1) = s.queue)) as claimed,
       w.terms
from tributary.steps as s
left join lateral (
    select t.error
    from tributary.attempts as t
    where t.shard = s.shard and t.run_id = s.run_id and t.ordinal = s.ordinal and t.error is not null
    order by t.seq desc limit 1
) as a on true
left join tributary.processes as o on o.process_id = s.process_id
left join tributary.queues as q on q.name = s.queue
left join tributary.registry as g on g.name = s.name
left join lateral (
    select jsonb_strip_nulls(jsonb_build_object('for', k.kind, 'signal', k.signal, 'payload', k.payload, 'prompt', k.prompt, 'form', k.form))
           || jsonb_build_object('since', k.began_at, 'until', k.due_at, 'on_timeout', case when k.goes_on then 'continue' else 'fail' end) as terms
    from tributary.waits as k
    where s.state = 'waiting' and k.shard = s.shard and k.run_id = s.run_id and k.ordinal = s.ordinal
    offset 0
) as w on true
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid
  and case when %(step)s::text is null then s.kind = 'intent' or s.kind = 'step' and s.state <> 'completed' and s.flags & 256 = 0
           when %(key)s::text is null then s.step_id = %(step)s::text and s.flags & 256 = 0
           else s.step_id = %(step)s::text and s.item_key = %(key)s::text and s.flags & 256 = 256 end
order by s.ordinal
limit 200
