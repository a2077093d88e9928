-- Tenants that anything is known of: their ready work (counted up to 100,000 rows, shared fairly), what runs, their limits and logins.
-- Locks: none.
-- Index: steps_ready (one probe for each lane), steps_running, tenants_pkey, queue_slots_pkey.
-- Caller: store.tenants.tenants
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
), lanes as materialized (
    select r.shard, l.queue, l.priority, l.tenant_id, l.first_seq, count(*) over () as number
    from (select shard, array_agg(queue) as queues from ready where queue not like '~%%' group by shard) as r
    cross join lateral tributary.find_lanes(r.shard, r.queues, 1000) as l
), waiting as materialized (
    select l.tenant_id, sum(c.ready)::integer as ready, bool_or(c.ready = c.most) as more, min(l.first_seq) as first_seq
    from lanes as l
    cross join lateral (
        select count(*) as ready, few.most
        from (select greatest(100, 100000 / l.number) as most) as few
        cross join lateral (select from tributary.steps as s
                            where s.shard = l.shard and s.state = 'available' and s.queue = l.queue and s.priority = l.priority
                              and s.tenant_id = l.tenant_id
                            limit greatest(100, 100000 / l.number)) as found
        group by few.most
    ) as c
    group by l.tenant_id
), held as materialized (
    select s.tenant_id, count(*)::integer as running
    from shards
    join tributary.steps as s on s.shard = shards.shard and s.state = 'running' and s.queue not like '~%%'
    group by s.tenant_id
), bound as materialized (
    select u.tenant_id, array_agg(b.login order by b.login) as logins
    from tributary.tenant_logins as b
    cross join unnest(b.tenants) as u(tenant_id)
    group by u.tenant_id
), names as (
    select tenant_id from tributary.tenants
    union select tenant_id from waiting
    union select tenant_id from held
    union select tenant_id from bound
)
select n.tenant_id, coalesce(w.ready, 0), coalesce(w.more, false),
       -- seq counts the microseconds at which a row became available
       case when w.first_seq is not null then greatest(0, extract(epoch from clock_timestamp()) - w.first_seq / 1000000.0)::float8 end,
       coalesce(h.running, 0), t.concurrency, tributary.rate_text(t.rate, t.rate_per),
       case when t.tenant_id is null then 0 else tributary.queue_opens('tenant:' || t.tenant_id) end,
       coalesce(b.logins, '{}')
from names as n
left join waiting as w on w.tenant_id = n.tenant_id
left join held as h on h.tenant_id = n.tenant_id
left join tributary.tenants as t on t.tenant_id = n.tenant_id
left join bound as b on b.tenant_id = n.tenant_id
order by n.tenant_id
