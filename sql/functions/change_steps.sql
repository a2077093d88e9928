-- What change does to rows: those of a run that have not started (p_ordinal null), or one. The time of a whole run is that of its steps without
-- needs; a step whose needs have not ended takes it when they have. Private and internal queues stay. A row that becomes
-- claimable, or changes its lane, gets a new seq: no watermark has passed it. Returns what else the event tells, null where no row waits.
-- Locks: step rows; the caller holds the root run's lock. Index: steps_pkey, payloads_pkey.
create or replace function tributary.change_steps(
    p_shard smallint, p_run_id uuid, p_ordinal integer, p_priority smallint, p_queue text, p_run_at timestamptz, p_payload jsonb
) returns jsonb
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_tids tid[];
    v_ordinals integer[];
    v_old bigint;
    v_levels jsonb := option_levels(jsonb_build_object('priority', p_priority, 'queue', p_queue), 'submit');
begin
    select array_agg(locked.tid), array_agg(locked.ordinal) into v_tids, v_ordinals
    from (
        select s.ctid as tid, s.ordinal from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.kind <> 'closing' and (p_ordinal is null or s.ordinal = p_ordinal)
          and s.state in ('blocked', 'scheduled', 'available', 'waiting')
        order by s.ordinal for update
    ) as locked;
    if v_tids is null then
        return null;
    end if;
    if p_payload is not null then
        select octet_length(coalesce(s.payload, p.payload)::text) into v_old
        from steps s left join payloads p on p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal;
        insert into payloads (run_id, ordinal, shard, payload) values (p_run_id, p_ordinal, p_shard, p_payload)
        on conflict (shard, run_id, ordinal) do update set payload = excluded.payload;
    end if;
    if v_levels <> '{}' then
        -- when the name is offered for the first time, options are resolved again: these are as if given with the submit
        update payloads p set options = coalesce(p.options, '{}') || v_levels
        where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_ordinals);
    end if;
    -- what is said now is stronger than an expression that was to decide it
    update payloads p
    set options = p.options || jsonb_build_object('expressions', (p.options -> 'expressions') - (
        array(select jsonb_object_keys(v_levels)) || case when p_run_at is not null and (p_ordinal is not null or s.unmet = 0) then array['run_after'] end))
    from steps s
    where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_ordinals) and p.options ? 'expressions'
      and s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p.ordinal;
    perform wake(write_changes(p_shard, v_tids, p_ordinal is null, p_priority, p_queue, p_run_at, p_payload is not null, clock()));
    return jsonb_strip_nulls(jsonb_build_object(
        'steps', cardinality(v_tids),
        'queue', case when p_ordinal is null and p_queue is not null then jsonb_build_object('new', p_queue) end,
        'payload', case when p_payload is not null then jsonb_build_object('old_bytes', v_old, 'new_bytes', octet_length(p_payload::text)) end));
end $$;
