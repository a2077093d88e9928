-- Which of these shards hold available rows of these queues: what survey_lanes answers for one, in one statement for all, up to 64 lanes of
-- each queue and shard. waited: seconds since the first row of the lane became available. A row without a lane says that something is
-- due in its shard, which promote_and_survey of a worker then looks at; limited queues, and limited tenants that have work, come as rows without a shard (limit_of).
-- Locks: none. Index: steps_ready, steps_due, waits_due, steps_expiring, group_slots_news, groups_unsettled: a probe of each for a shard.
create or replace function tributary.survey_shards(p_shards smallint[], p_queues text[])
returns table (shard smallint, queue text, priority smallint, tenant_id text, first_seq bigint, limited boolean, opens_in float8, waited float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock();
    v_us bigint := clock_us();
    v_names text[];
    v_limited boolean[];
    v_opens float8[];
begin
    return query
        select n.shard, null::text, null::smallint, null::text, null::bigint, false, 0::float8, 0::float8
        from unnest(p_shards) with ordinality as n(shard, place)
        where exists (select from steps s where s.shard = n.shard and s.state = 'scheduled' and s.run_at <= v_now)
           or exists (select from waits w where w.shard = n.shard and w.due_at <= v_now and w.due_at is not null)
           or exists (select from steps s where s.shard = n.shard and s.expires_at <= v_now and s.expires_at is not null and s.attempt = 0
                        and s.state in ('blocked', 'scheduled', 'available', 'waiting'))
           or exists (select from group_slots g where g.shard = n.shard and (g.state = 'left' or g.ousted))
           or (n.place = 1 and exists (select from groups g where g.unsettled));
    select array_agg(q.name), array_agg(q.concurrency is not null or q.rate is not null),
           array_agg(case when not q.paused then queue_opens(q.name) end)
    into v_names, v_limited, v_opens
    from queues q
    where q.name = any (p_queues) and (q.paused or q.concurrency is not null or q.rate is not null);
    return query
        with recursive lane as (
            (select n.shard, q.name as queue, first.priority, first.tenant_id, first.seq, 1 as place, 1 as probes
             from unnest(p_shards) as n(shard)
             cross join unnest(p_queues) as q(name)
             cross join lateral (
                 select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = n.shard and s.state = 'available' and s.queue = q.name
                 order by s.priority desc, s.tenant_id, s.seq limit 1
             ) as first)
            union all
            select lane.shard, lane.queue, next.priority, next.tenant_id, next.seq,
                   -- as in find_lanes: who is full must not hide others
                   lane.place + case when exists (select from tenants t where t.tenant_id = next.tenant_id) then 0 else 1 end, lane.probes + 1
            from lane
            cross join lateral (
                (select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = lane.shard and s.state = 'available' and s.queue = lane.queue
                   and s.priority = lane.priority and s.tenant_id > lane.tenant_id
                 order by s.tenant_id, s.seq limit 1)
                union all
                (select s.priority, s.tenant_id, s.seq from steps s
                 where s.shard = lane.shard and s.state = 'available' and s.queue = lane.queue and s.priority < lane.priority
                 order by s.priority desc, s.tenant_id, s.seq limit 1)
                limit 1
            ) as next
            where lane.place < 64 and lane.probes < 256
        )
        select lane.shard, lane.queue, lane.priority, lane.tenant_id, lane.seq, coalesce(k.limited, false),
               case when k.name is null then 0 else k.opens_in end, greatest(0, (v_us - lane.seq) / 1000000.0)::float8
        from lane
        left join unnest(v_names, v_limited, v_opens) as k(name, limited, opens_in) on k.name = lane.queue
        union all
        select null, 'tenant:' || t.tenant_id, null, null, null, true, queue_opens('tenant:' || t.tenant_id), 0
        from (select distinct l.tenant_id from lane as l where l.queue not like '~%') as ready
        join tenants t on t.tenant_id = ready.tenant_id;
    if v_names is not null then
        return query
            select null::smallint, k.name, null::smallint, null::text, null::bigint, k.limited, k.opens_in, 0::float8
            from unnest(v_names, v_limited, v_opens) as k(name, limited, opens_in);
    end if;
end $$;
