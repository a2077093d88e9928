-- Locks up to p_n available rows over the given lanes (queue, priority, tenant) in their order, each from its watermark on, or from a tenth of
-- a second ago where that is earlier: who took a seq before another may commit after it. Returns where they lie. p_foreign: rows may lie in
-- the lanes that the caller cannot run. Then at most 20,000 rows per lane are looked at, so that a lane full of them costs a bound, and only
-- rows that fit are locked, in a second step. Without any, rows are locked as they are met.
-- Locks: step rows by SKIP LOCKED. Index: steps_ready, the only one that gives this order without a sort.
create or replace function tributary.lock_lanes(
    p_shard smallint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_python boolean, p_foreign boolean, p_n integer
) returns tid[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
as $$
declare
    v_fresh bigint := clock_us() - 100000;
begin
    if not p_foreign then
        return array(
            select mine.tid
            from unnest(p_queues, p_priorities, p_tenants, p_lows) as lane(queue, priority, tenant_id, low)
            cross join lateral (
                select s.ctid as tid from steps s
                where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
                  and s.priority = lane.priority and s.tenant_id = lane.tenant_id and s.seq >= least(lane.low, v_fresh) and s.name = any (p_names)
                order by s.seq limit p_n
                for update skip locked
            ) as mine
            limit p_n);
    end if;
    return array(
        select mine.tid
        from unnest(p_queues, p_priorities, p_tenants, p_lows) as lane(queue, priority, tenant_id, low)
        cross join lateral (
            select locked.tid
            from (
                select s.ctid as tid, s.name, s.kind, s.seq, s.lone_crashes
                from steps s
                where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
                  and s.priority = lane.priority and s.tenant_id = lane.tenant_id and s.seq >= least(lane.low, v_fresh)
                order by s.seq limit 20000
            ) as seen
            cross join lateral (
                select s.ctid as tid from steps s
                where s.ctid = seen.tid and s.shard = p_shard and s.state = 'available' and s.seq = seen.seq
                for update skip locked
            ) as locked
            -- the with of a step is evaluated by Python, which also has a process for each suspect
            where seen.name = any (p_names) and (p_python or (seen.kind = 'intent' and seen.lone_crashes is null))
            limit p_n
        ) as mine
        limit p_n);
end $$;
