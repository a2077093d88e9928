-- The last sample of each queue, its age, and how many dead letters there are, at most 10,000 of each shard.
-- Locks: none.
-- Index: queue_stats_pkey, dead_letters_by_time.
-- Caller: store.samples.queue_samples
with letters as (
    select few.queue, count(*) as n
    from generate_series(0, tributary.shard_count() - 1) as shards(shard)
    cross join lateral (
        select d.queue from tributary.dead_letters as d
        where d.shard = shards.shard::smallint
        order by d.created_at desc
        limit 10000
    ) as few
    group by few.queue
)
select coalesce(t.queue, l.queue), t.ready, t.scheduled, t.running, t.waiting,
       extract(epoch from t.sampled_at - t.oldest_at)::float8,
       extract(epoch from clock_timestamp() - t.sampled_at)::float8, coalesce(l.n, 0)
from tributary.queue_stats as t
full join letters as l on l.queue = t.queue
order by 1
