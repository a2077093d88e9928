-- Workers with their processes and what these hold, oldest first; what a process says of itself outranks what it has claimed.
-- Locks: none.
-- Index: workers_pkey; running steps by steps_running.
-- Caller: store.fleet.workers
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), held as materialized (
    select r.process_id, count(*) as running,
           jsonb_agg(jsonb_build_object('id', r.run_id, 'ordinal', r.ordinal, 'name', r.name, 'since', r.claimed_at) order by r.place)
               filter (where r.place <= 20) as current
    from (select s.process_id, s.run_id, s.ordinal, s.name, s.claimed_at,
                 row_number() over (partition by s.process_id order by s.claimed_at, s.run_id, s.ordinal) as place
          from shards
          join tributary.steps as s on s.shard = shards.shard and s.state = 'running') as r
    group by r.process_id
), present as materialized (
    select tributary.clock() as now
)
select w.worker_id, w.name, w.host, w.pid, w.state, w.beat_at > present.now - interval '10 seconds' as alive,
       w.version, w.protocol, w.queues, w.names, w.concurrency, w.started_at, w.beat_at, w.failures,
       w.command, w.commanded_at, w.processes, w.patterns, present.now,
       o.process_id, o.pid as process_pid, o.runtime, o.name as process_name, o.started_at as process_started_at,
       o.beat_at as process_beat_at, coalesce(h.running, 0)::integer as running,
       o.slots, o.rss, coalesce(o.current, h.current, '[]') as current,
       case when w.spreads or w.shards is not null then tributary.served_shards(w.worker_id) end as shards, w.spreads
from present
cross join tributary.workers as w
left join tributary.processes as o on o.worker_id = w.worker_id
left join held as h on h.process_id = o.process_id
order by w.started_at, w.worker_id, length(o.name), o.name, o.process_id
