-- Workers with their processes and what these hold, oldest first.
-- Locks: none.
-- Index: workers_pkey; running steps by steps_running.
-- Caller: store.fleet.workers
with shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), held as materialized (
    select s.process_id, count(*) as running
    from shards
    join tributary.steps as s on s.shard = shards.shard and s.state = 'running'
    group by s.process_id
)
select w.worker_id, w.name, w.host, w.pid, w.state, w.beat_at > tributary.clock() - interval '10 seconds' as alive,
       w.version, w.queues, w.names, w.concurrency, w.started_at, w.beat_at, w.failures,
       o.process_id, o.pid as process_pid, o.runtime, o.name as process_name, o.started_at as process_started_at,
       o.beat_at as process_beat_at, coalesce(h.running, 0)::integer as running
from tributary.workers as w
left join tributary.processes as o on o.worker_id = w.worker_id
left join held as h on h.process_id = o.process_id
order by w.started_at, w.worker_id, o.started_at, o.process_id
