-- What `trib doctor` asks of the fleet: who leads, names that nobody ever offered, or no live worker claims (20 each), the oldest ready row.
-- Locks: none.
-- Index: leaders_pkey, steps_no_handler (one probe for each name), steps_ready (at most 10,000 rows for each queue).
-- Caller: store.fleet.facts
with recursive shards as materialized (
    select generate_series(0, tributary.shard_count() - 1)::smallint as shard
), waiting as (
    (select shards.shard, (select min(s.name) from tributary.steps as s where s.shard = shards.shard and s.reason = 'no_handler') as name
     from shards)
    union all
    select v.shard, (select min(s.name) from tributary.steps as s where s.shard = v.shard and s.reason = 'no_handler' and s.name > v.name)
    from waiting as v
    where v.name is not null
), ready as (
    select shards.shard, (select min(s.queue) from tributary.steps as s where s.shard = shards.shard and s.state = 'available') as queue
    from shards
    union all
    select r.shard, (select min(s.queue) from tributary.steps as s
                     where s.shard = r.shard and s.state = 'available' and s.queue > r.queue)
    from ready as r
    where r.queue is not null
), sample as materialized (
    select r.queue, few.seq, few.name
    from ready as r
    cross join lateral (select s.seq, s.name from tributary.steps as s
                        where s.shard = r.shard and s.state = 'available' and s.queue = r.queue and s.kind <> 'closing'
                        limit 10000) as few
    where r.queue is not null and r.queue not like '@%%'
), oldest as (
    -- seq counts the microseconds at which a row became available
    select s.queue, min(s.seq) as seq from sample as s group by s.queue
), unserved as (
    select distinct s.name
    from sample as s
    join tributary.registry as g on g.name = s.name and g.runtime = 'python' and g.is_enabled
    where not exists (select from tributary.workers as w
                      where w.beat_at > tributary.clock() - interval '10 seconds' and s.name = any (w.names))
), first as (
    select o.queue, greatest(0, extract(epoch from clock_timestamp()) - o.seq / 1000000.0)::float8 as age
    from oldest as o order by o.seq limit 1
)
select (select coalesce(w.name, l.worker_id::text) from tributary.leaders as l
        left join tributary.workers as w on w.worker_id = l.worker_id
        where l.role = 'maintenance' and l.expires_at > clock_timestamp()) as leader,
       array(select distinct v.name from waiting as v where v.name is not null order by v.name limit 20) as unoffered,
       array(select u.name from unserved as u order by u.name limit 20) as unserved,
       (select f.queue from first as f) as oldest_queue,
       (select f.age from first as f) as oldest_age
