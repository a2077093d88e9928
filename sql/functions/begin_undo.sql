-- A run that has failed or was cancelled begins to undo what it has done: a step of its own for each completed step with `undo`, and for each
-- completed item of one that fans out. What completed last is undone first, one after the other, whatever becomes of those before. Returns
-- how many there are. They are named undo:STEP and undo:STEP[KEY]; their payload is the item that their `with` may read.
-- The caller holds the root run's lock. Index: steps_pkey, payloads_pkey, registry_pkey.
create or replace function tributary.begin_undo(p_shard smallint, p_run runs, p_now timestamptz) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_plan jsonb;
    v_ids text[];
    v_names text[];
    v_items jsonb[];
    v_first integer;
    v_private text;
    v_queue text;
    v_seq bigint := clock_us();
    v_paused boolean := p_run.state = 'paused';
    v_correlated boolean;
begin
    select v.plan into strict v_plan from revisions v where v.revision_id = p_run.revision_id;
    select array_agg(d.step_id || coalesce('[' || d.item_key || ']', '') order by d.finished_at desc, d.ordinal desc),
           array_agg(x.undo ->> 'name' order by d.finished_at desc, d.ordinal desc),
           array_agg(d.item order by d.finished_at desc, d.ordinal desc)
    into v_ids, v_names, v_items
    from jsonb_to_recordset(v_plan -> 'steps') as x(id text, undo jsonb, for_each jsonb, matrix jsonb)
    join (
        select s.ordinal, s.step_id, s.item_key, s.finished_at, s.flags & 256 = 256 as is_item,
               case when s.flags & 256 = 256 then coalesce(s.payload, p.payload) end as item
        from steps s
        left join payloads p on s.flags & 256 = 256 and p.shard = p_shard and p.run_id = s.run_id and p.ordinal = s.ordinal
        where s.shard = p_shard and s.run_id = p_run.run_id and s.kind = 'step' and s.state = 'completed' and s.flags & 7680 = 0
    ) as d on d.step_id = x.id and d.is_item = (x.for_each is not null or x.matrix is not null)
    -- what was made of all items is none of them
    where x.undo is not null and d.item is distinct from '{"aggregate": true}';
    if v_plan ? 'function' then
        -- what it has registered, the last first
        select array_agg(e.event ->> 'id' order by h.number desc, e.i desc), array_agg(e.event ->> 'name' order by h.number desc, e.i desc),
               array_agg(e.event -> 'payload' order by h.number desc, e.i desc)
        into v_ids, v_names, v_items
        from history h cross join jsonb_array_elements(h.events) with ordinality as e(event, i)
        where h.shard = p_shard and h.run_id = p_run.run_id and e.event ->> 'type' = 'undo';
    end if;
    if v_ids is null then
        return 0;
    end if;
    update runs r set next_ordinal = r.next_ordinal + cardinality(v_ids)
    where r.shard = p_shard and r.run_id = p_run.run_id
    returning r.next_ordinal - cardinality(v_ids) into v_first;
    v_private := (select s.queue from steps s where s.shard = p_shard and s.run_id = p_run.run_id and s.queue like '@%' limit 1);
    v_correlated := (select s.correlated from steps s where s.shard = p_shard and s.run_id = p_run.run_id and s.kind = 'step' limit 1);
    with call as materialized (
        select u.id, u.name, u.item, u.i::integer as i, r.name is not null as known,
               resolve_options('{}', null, r.options, v_plan -> 'defaults', null) as options
        from unnest(v_ids, v_names, v_items) with ordinality as u(id, name, item, i)
        left join registry r on r.name = u.name and r.offered_at is not null
    ), kept as (
        insert into payloads (run_id, ordinal, shard, payload, options)
        select p_run.run_id, v_first + c.i - 1, p_shard, coalesce(c.item, 'null'), nullif(c.options, '{}') from call c
    ), stored as (
        insert into steps (run_id, seq, created_at, ordinal, unmet, kind, state, shard, priority, flags, max_attempts, tenant_id, name, queue,
                           step_id, reason, correlated)
        select p_run.run_id, v_seq + c.i, p_now, v_first + c.i - 1, (c.i > 1)::integer, 'step',
               case when c.i > 1 then 'blocked' when not c.known or v_paused then 'waiting' else 'available' end::step_state, p_shard,
               -- it decides by itself, so that no failure of another one skips it, and its `with` is evaluated when it runs
               coalesce((c.options #>> '{priority,value}')::smallint, 0), 4 | case when v_plan ? 'function' then 0 else 8 end | hook_bits('undo') | case when v_paused then 64 else 0 end,
               coalesce((c.options #>> '{max_attempts,value}')::smallint, builtin_attempts(c.name)), p_run.tenant_id, c.name,
               private_queue(v_private, coalesce(c.options #>> '{queue,value}', 'default')), 'undo:' || c.id,
               case when not c.known then 'no_handler' when c.i = 1 and v_paused then 'paused' end, v_correlated
        from call c
        returning ordinal, state, queue
    )
    select s.queue into v_queue from stored s where s.state = 'available';
    insert into edges (run_id, parent, child, shard)
    select p_run.run_id, v_first + n - 1, v_first + n, p_shard from generate_series(1, cardinality(v_ids) - 1) as n;
    perform wake(array_remove(array[v_queue], null));
    return cardinality(v_ids);
end $$;
