-- The lanes of these queues that hold available rows, for who knows some of them (queue, priority, tenant): between any two of those a loose scan like
-- that of find_lanes, up to 4,000 lanes; and those with a low that hold something from there on. So it passes by nothing that
-- was claimed from a known lane since the last vacuum, which find_lanes does, and sees nothing below a watermark, either.
-- Index: steps_ready, a probe per known lane, another for a low, three more for each change of the priority, up to three for each that is new.
create or replace function tributary.find_new_lanes(
    p_shard smallint, p_queues text[], p_known text[], p_priorities smallint[], p_tenants text[], p_lows bigint[]
) returns table (queue text, priority smallint, tenant_id text, first_seq bigint)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
-- of a table that was analyzed while it was nearly empty any index seems as good as the one that has this order
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
        with recursive known as materialized (
            -- a place before all lanes of a queue as well
            select k.queue collate "C" as queue, k.priority::integer, k.tenant_id collate "C" as tenant_id, k.low
            from unnest(p_known, p_priorities, p_tenants, p_lows) as k(queue, priority, tenant_id, low)
            union all
            select q.name, 32768, '', null from unnest(p_queues) as q(name)
        ), lane as (
            select k.queue, k.priority, k.tenant_id, null::bigint as seq,
                   first_value(k.priority) over behind as next_priority, first_value(k.tenant_id) over behind as next_tenant
            from known as k
            window behind as (partition by k.queue order by k.priority desc, k.tenant_id rows between 1 following and 1 following)
            union all
            select lane.queue, next.priority, next.tenant_id, next.seq, lane.next_priority, lane.next_tenant
            from lane
            cross join lateral (
                -- up to the next known lane, where that has the same priority
                (select s.priority::integer, s.tenant_id, s.seq from steps s
                 where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue and s.priority = lane.priority
                   and s.tenant_id > lane.tenant_id and s.tenant_id < lane.next_tenant and lane.next_priority = lane.priority
                 order by s.tenant_id, s.seq limit 1)
                union all
                (select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue and s.priority = lane.priority
                   and s.tenant_id > lane.tenant_id and lane.next_priority is distinct from lane.priority
                 order by s.tenant_id, s.seq limit 1)
                union all
                -- priorities in between
                (select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
                   and s.priority < lane.priority and s.priority > coalesce(lane.next_priority, -32769)
                   and lane.next_priority is distinct from lane.priority
                 order by s.priority desc, s.tenant_id, s.seq limit 1)
                union all
                (select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue and s.priority = lane.next_priority
                   and s.tenant_id < lane.next_tenant and lane.next_priority < lane.priority
                 order by s.tenant_id, s.seq limit 1)
                limit 1
            ) as next
        )
        (select lane.queue, lane.priority::smallint, lane.tenant_id, lane.seq from lane where lane.seq is not null limit 4000)
        union all
        select k.queue, k.priority::smallint, k.tenant_id, head.seq
        from known as k
        cross join lateral (
            select s.seq from steps s
            where s.shard = p_shard and s.state = 'available' and s.queue = k.queue and s.priority = k.priority
              and s.tenant_id = k.tenant_id and s.seq >= k.low
            order by s.seq limit 1
        ) as head
        where k.low is not null;
end $$;
