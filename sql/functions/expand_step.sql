-- Makes the items of a fan-out: steps of their own, which it waits for. p_fan: {name, item_flags, fan_flags, max_parallel, tolerated,
-- fail_fast, without, items: [{key, payload}]}. Its own options are those of its items, but for expressions that p_fan has in `without`;
-- where any are left, each item begins under the control name and decides its own. The caller holds the root run's lock.
-- Index: payloads_pkey, registry_pkey; everything is inserted by three statements, whatever the number of items.
create or replace function tributary.expand_step(p_shard smallint, p_step steps, p_fan jsonb, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_count integer := jsonb_array_length(p_fan -> 'items');
    v_name text := p_fan ->> 'name';
    v_known boolean;
    v_most integer := coalesce((p_fan ->> 'max_parallel')::integer, v_count);
    v_parallel smallint;
    v_first integer;
    v_options jsonb;
    v_flags integer := 256 | 8 | (p_step.flags & (1 | 64 | 7680)) | (p_fan -> 'item_flags')::integer;
    v_seq bigint := clock_us();
    v_queue text;
    v_queues text[];
begin
    update runs r
    set next_ordinal = r.next_ordinal + v_count, remaining = r.remaining + v_count
    where r.shard = p_shard and r.run_id = p_step.run_id
    returning r.next_ordinal - v_count, r.max_parallel into v_first, v_parallel;
    if v_parallel is not null and p_step.flags & 7680 = 0 and not only_waits(v_name) then
        v_flags := v_flags | 128;
    end if;
    select p.options - 'run_after' into v_options from payloads p
    where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = p_step.ordinal;
    if v_options ? 'expressions' then
        v_options := v_options || jsonb_build_object(
            'name', v_name,
            'expressions', (v_options -> 'expressions') - array(select jsonb_array_elements_text(coalesce(p_fan -> 'without', '[]'))));
        if v_options -> 'expressions' = '{}' then
            v_options := v_options - array['expressions', 'name'];
        else
            v_name := 'trib.options.v1';
        end if;
    end if;
    v_options := nullif(v_options, '{}');
    v_known := is_control(v_name)
               or exists (select from registry r where r.name = v_name and r.offered_at is not null);
    v_queue := private_queue(case when p_step.queue like '@%' then p_step.queue end,
                             case when is_control(v_name) then '~closing'
                                  else coalesce(v_options #>> '{queue,value}', 'default') end);
    with item as materialized (
        select i.ordinality::integer as i, i.value ->> 'key' as key, i.value -> 'payload' as payload,
               payload_at_home(i.value -> 'payload', v_options, null, v_known) as home
        from jsonb_array_elements(p_fan -> 'items') with ordinality as i
    ), stored as (
        insert into steps (run_id, seq, created_at, ordinal, unmet, kind, state, shard, priority, flags, max_attempts, tenant_id, name, queue,
                           step_id, item_key, reason, payload, correlated)
        select p_step.run_id, v_seq + item.i, p_now, v_first + item.i - 1, (item.i > v_most)::integer, 'step',
               case when item.i > v_most then 'blocked' when not v_known or v_flags & 192 <> 0 then 'waiting' else 'available' end::step_state,
               p_shard, case when v_name = 'trib.options.v1' then 32000 else coalesce((v_options #>> '{priority,value}')::smallint, 0) end, v_flags,
               case when v_name = 'trib.options.v1' then 3
                    else coalesce((v_options #>> '{max_attempts,value}')::smallint, builtin_attempts(v_name)) end, p_step.tenant_id, v_name, v_queue,
               p_step.step_id, item.key,
               case when not v_known then 'no_handler' when item.i > v_most then null
                    when v_flags & 64 = 64 then 'paused' when v_flags & 128 = 128 then 'parallel' end,
               case when item.home then item.payload end, p_step.correlated
        from item
    )
    insert into payloads (run_id, ordinal, shard, payload, options)
    select p_step.run_id, v_first + item.i - 1, p_shard, item.payload, v_options from item where not item.home;
    insert into edges (run_id, parent, child, shard)
    select p_step.run_id, v_first + n, p_step.ordinal, p_shard from generate_series(0, v_count - 1) as n;
    insert into progress (run_id, at, ordinal, shard, details)
    values (p_step.run_id, p_now, p_step.ordinal, p_shard,
            (p_fan - 'items' - 'item_flags' - 'fan_flags' - 'without') || case
                -- the one item of an aggregate comes behind the items themselves, if there are any
                when (p_fan -> 'fan_flags')::integer & 16384 = 16384
                then jsonb_build_object('first', v_first, 'items', 0, 'next', v_first, 'failed', 0, 'fail_fast', false, 'aggregate', v_first)
                else jsonb_build_object('first', v_first, 'items', v_count, 'next', v_first + v_most, 'failed', 0) end)
    on conflict (shard, run_id, ordinal) do update
    set details = progress.details || (excluded.details - 'first' - 'items');
    update steps s
    set state = 'waiting', reason = 'items', process_id = null, unmet = v_count, attempt = s.attempt - 1,
        started_at = coalesce(s.started_at, s.claimed_at), flags = (s.flags | 4 | (p_fan -> 'fan_flags')::integer) & ~2
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    if v_known and v_flags & 64 = 0 then
        v_queues := case when v_flags & 128 = 128 then fill_run(p_shard, p_step.run_id, v_parallel, p_now) else array[v_queue] end;
        perform wake(v_queues);
    end if;
end $$;
