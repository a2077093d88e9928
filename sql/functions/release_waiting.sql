-- Work whose name is offered by now stops waiting: options are resolved again (the handler's own have come), it moves to its queue.
-- Bounded; called until it returns 0. Index: steps_no_handler. Locks: step rows by SKIP LOCKED.
create or replace function tributary.release_waiting(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
declare
    v_tids tid[];
    v_queues text[];
    v_us bigint;
    v_now timestamptz;
begin
    v_tids := array(
        select locked.tid
        from registry r
        cross join lateral (
            select s.ctid as tid from steps s
            where s.shard = p_shard and s.name = r.name and s.reason = 'no_handler'
              -- its run waits for the slot of a group: the leader comes back to it
              and not exists (select from group_slots g where g.shard = p_shard and g.run_id = s.run_id and g.ordinal = -1
                                and g.state = 'waiting')
            limit p_limit for update skip locked
        ) as locked
        where r.offered_at is not null
        limit p_limit);
    if cardinality(v_tids) = 0 then
        return 0;
    end if;
    v_us := clock_us();
    v_now := clock();
    with offered as materialized (
        -- once for each name, not for each row
        select r.name, option_levels(r.options, 'handler') as options
        from registry r
        where r.name in (select s.name from steps s where s.ctid = any (v_tids) and s.shard = p_shard)
    ), resolved as materialized (
        select s.ctid as tid, s.run_id, s.ordinal, case when s.queue like '@%' then s.queue end as private,
               row_number() over (order by s.seq) as i, n.options, p.options is distinct from nullif(n.options, '{}') as changed
        from steps s
        join offered o on o.name = s.name
        left join payloads p on p.shard = p_shard and p.run_id = s.run_id and p.ordinal = s.ordinal
        cross join lateral (
            select case when p.options is null then o.options
                        else p.options || o.options
                             || coalesce((select jsonb_object_agg(k.key, k.value) from jsonb_each(p.options) k
                                          where k.value ->> 'level' in ('submit', 'step') or k.key = 'run_after'), '{}') end as options
        ) as n
        where s.ctid = any (v_tids) and s.shard = p_shard
    ), kept as (
        update payloads p set options = nullif(n.options, '{}')
        from resolved n
        where n.changed and p.shard = p_shard and p.run_id = n.run_id and p.ordinal = n.ordinal
    ), moved as (
        update steps s
        set reason = case when s.state <> 'blocked' and s.flags & 64 = 64 then 'paused' when s.state <> 'blocked' and s.flags & 128 = 128 then 'parallel' end,
            state = case when s.state = 'blocked' then 'blocked' when s.flags & 192 <> 0 then 'waiting' when s.run_at > v_now then 'scheduled'
                         else 'available' end::step_state,
            queue = private_queue(n.private, coalesce(n.options #>> '{queue,value}', 'default')),
            priority = coalesce((n.options #>> '{priority,value}')::smallint, 0),
            max_attempts = coalesce((n.options #>> '{max_attempts,value}')::smallint, builtin_attempts(s.name)),
            seq = greatest(s.seq + 1, v_us + n.i)
        from resolved n
        where s.ctid = n.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(distinct m.queue) filter (where m.state = 'available') into v_queues from moved m;
    perform wake(v_queues);
    return cardinality(v_tids);
end $$;
