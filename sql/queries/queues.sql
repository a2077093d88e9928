-- Queues that exist anywhere, with ready (counted up to 10,000) and running work, limits and their use, and the last sample of depth.
-- Locks: none.
-- Index: steps_ready (one probe for each queue), steps_running, queue_slots_pkey.
-- Caller: store.fleet.queues
with recursive shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), ready as (
    select shards.shard, (select min(s.queue) from tributary.steps as s where s.shard = shards.shard and s.state = 'available') as queue
    from shards
    union all
    select r.shard, (select min(s.queue) from tributary.steps as s
                     where s.shard = r.shard and s.state = 'available' and s.queue > r.queue)
    from ready as r
    where r.queue is not null
), held as materialized (
    select s.queue, count(*) as running
    from shards
    join tributary.steps as s on s.shard = shards.shard and s.state = 'running'
    group by s.queue
), served as materialized (
    select split_part(q, ':', 1) as queue, count(*) as workers
    from tributary.workers as w
    cross join unnest(w.queues) as q
    where w.beat_at > tributary.clock() - interval '10 seconds'
    group by split_part(q, ':', 1)
), names as (
    select name from tributary.queues
    union select queue from ready where queue is not null
    union select queue from held
    union select queue from served
    union select queue from tributary.queue_stats
    union select 'default'
)
select n.name, coalesce(q.paused, false), q.paused_at, coalesce(h.running, 0)::integer,
       (select sum(c.available) from shards
        cross join lateral (
            select count(*) as available
            from (select from tributary.steps as s
                  where s.shard = shards.shard and s.state = 'available' and s.queue = n.name limit 10000) as few
        ) as c)::integer,
       coalesce(v.workers, 0)::integer,
       q.concurrency, tributary.rate_text(q.rate, q.rate_per), tributary.queue_opens(n.name),
       t.sampled_at, extract(epoch from clock_timestamp() - t.sampled_at)::float8,
       t.ready, t.scheduled, t.running, t.waiting, extract(epoch from t.sampled_at - t.oldest_at)::float8, t.ready_rate, t.more
from names as n
left join tributary.queues as q on q.name = n.name
left join held as h on h.queue = n.name
left join served as v on v.queue = n.name
left join tributary.queue_stats as t on t.queue = n.name
where n.name not like '@%%' and n.name not like '%%~%%'
order by n.name
