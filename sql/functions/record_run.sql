-- Records a run with its steps and edges from a stored revision; a known key stores nothing. With p_parent it is the child run of that
-- step: it lives with its root, and what becomes of it decides the step.
-- Locks: the key's row; for a child the caller holds the root's. Everything is inserted by four statements, whatever the number of steps.
create or replace function tributary.record_run(
    p_revision uuid, p_name text, p_inputs jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_labels jsonb, p_tenant text, p_payloads jsonb, p_private text, p_runner bigint,
    p_root uuid, p_parent uuid, p_parent_ordinal integer
) returns table (run_id uuid, created boolean, state text, unknown text[])
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    -- one whose inputs are sealed has its id beforehand
    v_id uuid := coalesce(case when p_root is null then nullif(current_setting('tributary.own_id', true), '')::uuid end,
                          new_id(case when p_root is not null then ('x' || right(p_root::text, 3))::bit(12)::integer
                                      when p_key is not null then slot_of_key(p_tenant, p_key) end));
    v_shard smallint := shard_of(v_id);
    v_now timestamptz := clock();
    v_seq bigint := clock_us();
    v_plan jsonb;
    v_count integer;
    v_main integer;
    v_flags smallint;
    v_parallel smallint;
    v_unknown text[];
    v_queues text[];
    v_group text;
    v_correlated boolean;
begin
    if p_payloads is not null or p_private is not null or p_runner is not null or p_config <> '{}' then
        perform check_submitter(p_name, p_config, p_payloads is not null or p_private is not null or p_runner is not null);
    end if;
    perform check_name('a workflow''s name', p_name);
    perform check_payload('the inputs', p_inputs);
    perform check_options(p_submit);
    if jsonb_typeof(p_labels) <> 'object' then
        raise exception 'labels must be a JSON object, not %', jsonb_typeof(p_labels)
            using errcode = 'TR001', hint = 'labels look like {"team": "billing"}';
    end if;
    select r.plan into strict v_plan from revisions r where r.revision_id = p_revision;
    if p_key is not null and take_key(v_shard, p_tenant, p_key, v_id, p_name) is not null then
        return query
            select r.run_id, false, r.state::text, '{}'::text[]
            from keys k join runs r on r.shard = k.shard and r.run_id = k.run_id
            where k.shard = v_shard and k.tenant_id = p_tenant and k.key = p_key;
        if not found and not exists (select from keys k where k.shard = v_shard and k.tenant_id = p_tenant and k.key = p_key) then
            -- who held the key was pruned in this very moment
            return query select * from record_run(p_revision, p_name, p_inputs, p_key, p_submit, p_config, p_run_at, p_labels, p_tenant,
                                                  p_payloads, p_private, p_runner, p_root, p_parent, p_parent_ordinal);
        elsif not found then
            raise exception 'idempotency key % belongs to an intent named %', quote_literal(p_key), p_name
                using errcode = 'TR002', hint = 'submit it as an intent, or use another key';
        end if;
        return;
    end if;

    if v_plan ? 'concurrency' then
        v_group := coalesce(nullif(current_setting('tributary.group', true), ''), v_plan #>> '{concurrency,group}');
        if v_group like '%${{%' then
            raise exception 'the concurrency group of % holds an expression, which SQL cannot evaluate', quote_literal(p_name)
                using errcode = 'TR001', hint = 'submit it by trib submit or by Python, or give the group a fixed name';
        end if;
    end if;
    if p_parent is not null then
        v_correlated := inherit_correlation(v_shard, v_id, p_parent);
    elsif p_submit ? 'correlation' or current_setting('tributary.correlation_id', true) <> '' or current_setting('tributary.traceparent', true) <> ''
          or current_setting('tributary.business_id', true) <> '' then
        v_correlated := keep_correlation(v_shard, v_id, p_tenant, p_submit -> 'correlation');
    end if;
    v_count := jsonb_array_length(v_plan -> 'steps');
    v_parallel := (v_plan ->> 'max_parallel')::smallint;
    select count(*) filter (where x.hook is null),
           case when v_plan -> 'fail_fast' = 'true' then 1 else 0 end + case when v_parallel is not null then 32 else 0 end
               + case when v_plan ? 'concurrency' then 64 else 0 end
               + case when bool_or(x.undo is not null) then 128 else 0 end + coalesce(bit_or(hook_bits(x.hook)), 0) / 256
    into v_main, v_flags
    from jsonb_to_recordset(v_plan -> 'steps') as x(hook text, undo jsonb);
    with plan as materialized (
        select x.*, case when late.expressions is null then coalesce(x.options, '{}')
                         else coalesce(x.options, '{}') - array(select jsonb_object_keys(late.expressions)) end as own,
               timed.after, late.expressions, fan.out or only_waits(x.name) or late.expressions is not null as control,
               case when fan.out then 'trib.fan.v1' when late.expressions is not null then 'trib.options.v1' else x.name end as row_name,
               case when x.continue_on_error then 1 else 0 end + case when x.decides then 4 else 0 end
                   + case when x.dynamic or x.concurrency is not null or x.cache is not null then 8 else 0 end
                   + case when timed.after <> 'null' then 16 else 0 end
                   + case when x.condition is not null then 32 else 0 end
                   + case when v_parallel is not null and x.hook is null and not fan.out and not only_waits(x.name) then 128 else 0 end
                   + hook_bits(x.hook) as flags
        from jsonb_to_recordset(v_plan -> 'steps') as x(
                 id text, ordinal integer, name text, needs integer[], "with" jsonb, dynamic boolean,
                 options jsonb, run_after jsonb, continue_on_error boolean,
                 condition text, decides boolean, for_each jsonb, matrix jsonb, hook text, concurrency jsonb, cache jsonb)
        cross join lateral (select x.for_each is not null or x.matrix is not null as out) as fan
        -- options that are known only when the step is due
        cross join lateral (
            select case when x.options::text like '%${{%' or x.run_after::text like '%${{%' then (
                select jsonb_object_agg(o.key, jsonb_build_object('text', o.value))
                from jsonb_each(coalesce(x.options, '{}') || jsonb_build_object('run_after', x.run_after)) as o
                where jsonb_typeof(o.value) = 'string' and o.value::text like '%${{%') end as expressions
            offset 0
        ) as late
        -- the moment in which its needs have ended is what a duration counts from that an expression gives
        cross join lateral (
            select case when late.expressions is null or not late.expressions ? 'run_after' then x.run_after
                        when not fan.out and (x.hook is not null or cardinality(x.needs) > 0) then '0' else 'null' end as after
        ) as timed
    ), resolved as materialized (
        -- resolving costs more than storing, and most steps of a large workflow have equal options
        select d.name, d.own, r.name is not null as known,
               resolve_options(d.own, p_submit, r.options, v_plan -> 'defaults', p_config) as options
        from (select distinct p.name, p.own from plan p) as d
        left join registry r on r.name = d.name and r.offered_at is not null
    ), given as materialized (
        select p.*, r.known, r.options as resolved, case when v_plan ? 'function' then p_inputs else coalesce(p_payloads -> p.id, p."with") end as payload,
               nullif(r.options || case when p.after <> 'null' then jsonb_build_object('run_after', p.after) else '{}' end
                      || case when p.expressions is not null then jsonb_build_object('expressions', p.expressions, 'name', p.name) else '{}' end
                      || case when p_submit -> 'cache' = 'false' and (p.cache is not null or p.name = 'trib.workflow.v1') then '{"cache": {"value": false, "level": "submit"}}'::jsonb else '{}' end,
                      '{}') as kept
        from plan p
        join resolved r on r.name = p.name and r.own = p.own
    ), timed as materialized (
        -- only a step without needs can know its time now; the others count from the end of their needs
        select g.id, g.ordinal, g.name, g.row_name, g.control, g.flags, needs.unmet, g.known, g.resolved as options,
               g.payload, g.kept, payload_at_home(g.payload, g.kept, null, g.known or g.control) as home,
               case when needs.unmet = 0 then greatest(p_run_at, due_at(g.after, v_now)) end as due
        from given g
        -- a step of a hook waits for its hook besides
        cross join lateral (select coalesce(cardinality(g.needs), 0) + (g.hook is not null)::integer as unmet) as needs
    ), stored as (
        insert into steps (run_id, seq, created_at, run_at, ordinal, unmet, kind, state, shard, priority, flags,
                           max_attempts, tenant_id, name, queue, step_id, reason, payload, correlated)
        select v_id, v_seq + t.ordinal, v_now, t.due, t.ordinal, t.unmet, 'step',
               case when t.unmet > 0 then 'blocked' when not (t.known or t.control) or t.flags & 128 = 128 then 'waiting'
                    when t.due > v_now then 'scheduled' else 'available' end::step_state,
               -- what decides about others goes first
               v_shard, case when t.row_name = 'trib.options.v1' then 32000 else coalesce((t.options #>> '{priority,value}')::smallint, 0) end,
               t.flags,
               -- the attempts of a fan-out are those of its items
               case when t.row_name in ('trib.fan.v1', 'trib.options.v1') then 3
                    else coalesce((t.options #>> '{max_attempts,value}')::smallint, builtin_attempts(t.row_name)) end,
               p_tenant, t.row_name,
               private_queue(p_private, case when t.control then '~closing' else coalesce(t.options #>> '{queue,value}', 'default') end),
               t.id,
               case when not (t.known or t.control) then 'no_handler' when t.unmet = 0 and t.flags & 128 = 128 then 'parallel' end,
               case when t.home then t.payload end, v_correlated
        from timed t
        returning queue, state
    ), kept as (
        insert into payloads (run_id, ordinal, shard, payload, options)
        select v_id, t.ordinal, v_shard, t.payload, t.kept
        from timed t
        where not t.home
        union all
        select v_id, 0, v_shard, p_inputs, case when v_group is not null then jsonb_build_object('group', v_group) end
    )
    select array_agg(distinct s.queue) filter (where s.state = 'available'),
           (select array_agg(distinct t.name) from timed t where not t.known and not only_waits(t.name))
    into v_queues, v_unknown
    from stored s;

    insert into edges (run_id, parent, child, shard)
    select v_id, need, x.ordinal, v_shard
    from jsonb_to_recordset(v_plan -> 'steps') as x(ordinal integer, needs integer[]), unnest(x.needs) as need
    order by need, x.ordinal;  -- as their index has them

    insert into runs (run_id, root_id, parent_run_id, parent_ordinal, revision_id, created_at, run_at, deadline, shard, priority, flags,
                      max_parallel, remaining, next_ordinal, closing_ordinal, tenant_id, name, idempotency_key, runner_id, keep_name, labels)
    values (v_id, coalesce(p_root, v_id), p_parent, p_parent_ordinal, p_revision, v_now, p_run_at,
            greatest(p_run_at, v_now) + make_interval(secs => (v_plan ->> 'timeout')::float8), v_shard,
            coalesce((p_submit ->> 'priority')::smallint, 0), v_flags, v_parallel, v_main, v_count + 2, case when v_plan -> 'result' <> 'null' then v_count + 1 end, p_tenant, p_name, p_key, p_runner,
            -- a child run is none of those that its own workflow keeps: it goes after its root
            case when p_root is not null then (select r.keep_name from runs r where r.shard = v_shard and r.run_id = p_root)
                 when v_plan ? 'keep' then p_name end,
            coalesce(v_plan -> 'labels', '{}') || coalesce(p_labels, '{}'));
    if v_plan -> 'result' <> 'null' then
        insert into steps (run_id, seq, created_at, ordinal, unmet, kind, state, shard, priority, max_attempts, tenant_id, name, queue)
        values (v_id, v_seq, v_now, v_count + 1, 1, 'closing', 'blocked', v_shard, 32000, 3, p_tenant, 'trib.close.v1',
                private_queue(p_private, '~closing'));
    end if;
    if v_parallel is not null then
        v_queues := v_queues || fill_run(v_shard, v_id, v_parallel, v_now);
    end if;
    if v_group is not null then
        case group_run(v_shard, v_id, v_group, coalesce((v_plan #>> '{concurrency,limit}')::integer, 1),
                       coalesce(v_plan #>> '{concurrency,on_limit}', 'queue'))
            when 'rejected' then
                raise exception 'the concurrency group % is full', quote_literal(v_group)
                    using errcode = 'TR004', hint = 'the workflow says on_limit: reject; submit it again when a run of the group has ended';
            when 'queued' then v_queues := null;
            else null;
        end case;
    end if;
    perform wake(v_queues);
    return query select v_id, true, case when p_run_at > v_now then 'scheduled' when v_queues is null then 'waiting' else 'available' end,
                        coalesce(v_unknown, '{}');
end $$;
