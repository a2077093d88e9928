-- What change does to rows: those of a run that have not started (p_ordinal null), or one. The time of a whole run is that of its steps without
-- needs; a step whose needs have not ended takes it when they have. Private and internal queues stay. A row that becomes
-- claimable, or changes its lane, gets a new seq: no watermark has passed it. Returns what else the event tells, null where no row waits.
-- Locks: step rows; the caller holds the root run's lock. Index: steps_pkey, payloads_pkey.
create or replace function tributary.change_steps(
    p_shard smallint, p_run_id uuid, p_ordinal integer, p_priority smallint, p_queue text, p_run_at timestamptz, p_payload jsonb
) returns jsonb
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_tids tid[];
    v_now timestamptz;
    v_old bigint;
    v_queues text[];
    v_levels jsonb := option_levels(jsonb_build_object('priority', p_priority, 'queue', p_queue), 'submit');
begin
    v_tids := array(
        select s.ctid from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.kind <> 'closing' and (p_ordinal is null or s.ordinal = p_ordinal)
          and s.state in ('blocked', 'scheduled', 'available', 'waiting')
        order by s.ordinal for update);
    if cardinality(v_tids) = 0 then
        return null;
    end if;
    v_now := clock();
    if p_payload is not null then
        select octet_length(coalesce(s.payload, p.payload)::text) into v_old
        from steps s left join payloads p on p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal
        where s.ctid = v_tids[1] and s.shard = p_shard;
        insert into payloads (run_id, ordinal, shard, payload) values (p_run_id, p_ordinal, p_shard, p_payload)
        on conflict (shard, run_id, ordinal) do update set payload = excluded.payload;
    end if;
    -- when the name is offered for the first time, options are resolved again: these are as if given with the submit
    update payloads p set options = coalesce(p.options, '{}') || v_levels
    from steps s
    where v_levels <> '{}' and s.ctid = any (v_tids) and s.shard = p_shard
      and p.shard = p_shard and p.run_id = p_run_id and p.ordinal = s.ordinal;
    with next as materialized (
        select s.ctid as tid, row_number() over (order by s.ordinal) as i,
               coalesce(p_priority, s.priority) as priority,
               case when s.queue ~ '^[~@]' then s.queue else coalesce(p_queue, s.queue) end as queue,
               timed.run_at,
               case when timed.run_at is distinct from s.run_at and s.state in ('scheduled', 'available')
                    then case when timed.run_at > v_now then 'scheduled' else 'available' end::step_state else s.state end as state
        from steps s
        cross join lateral (
            select case when p_run_at is null or (p_ordinal is null and s.unmet > 0) then s.run_at else p_run_at end as run_at
        ) as timed
        where s.ctid = any (v_tids) and s.shard = p_shard
    ), written as (
        update steps s
        set priority = n.priority, queue = n.queue, run_at = n.run_at, state = n.state,
            payload = case when p_payload is null then s.payload end,
            -- the payload is taken as it is, the time stands whenever the needs end
            flags = s.flags & ~(case when p_payload is null then 0 else 8 end | case when n.run_at is distinct from s.run_at then 16 else 0 end),
            seq = case when n.state = 'available' and (s.state, s.queue, s.priority) is distinct from (n.state, n.queue, n.priority)
                       then greatest(s.seq + 1, clock_us() + n.i) else s.seq end
        from next n
        where s.ctid = n.tid and s.shard = p_shard
        returning s.state, s.queue
    )
    select array_agg(distinct w.queue) filter (where w.state = 'available') into v_queues from written w;
    perform wake(v_queues);
    return jsonb_strip_nulls(jsonb_build_object(
        'steps', cardinality(v_tids),
        'queue', case when p_ordinal is null and p_queue is not null then jsonb_build_object('new', p_queue) end,
        'payload', case when p_payload is not null then jsonb_build_object('old_bytes', v_old, 'new_bytes', octet_length(p_payload::text)) end));
end $$;
