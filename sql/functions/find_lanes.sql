-- The lanes of these queues that hold available rows, by a loose scan of steps_ready: one probe per lane, not per row. Up to p_limit of
-- tenants without a limit, and up to four times as many in all: who is full must not hide others behind his priorities.
create or replace function tributary.find_lanes(p_shard smallint, p_queues text[], p_limit integer default 1000)
returns table (queue text, priority smallint, tenant_id text, first_seq bigint)
language sql stable
set search_path to tributary, pg_temp
set enable_seqscan to off
set enable_bitmapscan to off
-- of a table that was analyzed while it was nearly empty any index seems as good as the one that has this order
set enable_sort to off
set jit to off
as $$
    with recursive lane as (
        (select q.name as queue, first.priority, first.tenant_id, first.seq, 1 as n, 1 as probes
         from unnest(p_queues) as q(name)
         cross join lateral (
             select s.priority, s.tenant_id, s.seq from steps s
             where s.shard = p_shard and s.state = 'available' and s.queue = q.name
             order by s.priority desc, s.tenant_id, s.seq limit 1
         ) as first)
        union all
        select lane.queue, next.priority, next.tenant_id, next.seq,
               lane.n + case when exists (select from tenants t where t.tenant_id = next.tenant_id) then 0 else 1 end, lane.probes + 1
        from lane
        cross join lateral (
            (select s.priority, s.tenant_id, s.seq from steps s
             where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
               and s.priority = lane.priority and s.tenant_id > lane.tenant_id
             order by s.tenant_id, s.seq limit 1)
            union all
            (select s.priority, s.tenant_id, s.seq from steps s
             where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue and s.priority < lane.priority
             order by s.priority desc, s.tenant_id, s.seq limit 1)
            limit 1
        ) as next
        where lane.n < p_limit and lane.probes < 4 * p_limit
    )
    select lane.queue, lane.priority, lane.tenant_id, lane.seq from lane
$$;
