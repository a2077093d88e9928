-- A workflow function gives back its process until something comes that it waits for. p_terms: {asks: [{ordinal, id, kind, name, payload, options,
-- terms}], open: [ordinals], unmet}. Makes the steps that it has asked for; what it had asked for earlier and what is open still is looked at
-- once more: where enough of that has ended meanwhile, or something badly, it is available at once.
-- kind: run (a handler), child (a workflow), or wait (terms as begin_wait takes them). unmet: how many of the open and new ones have to end until it can go on.
-- The caller holds the root run's lock and has locked the step. Index: steps_pkey, registry_pkey, edges_pkey, payloads_pkey.
create or replace function tributary.suspend_step(p_shard smallint, p_step steps, p_terms jsonb, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_asks jsonb := coalesce(p_terms -> 'asks', '[]');
    v_count integer := jsonb_array_length(v_asks);
    v_first integer;
    v_private text := case when p_step.queue like '@%' then p_step.queue end;
    v_seq bigint := clock_us();
    v_paused boolean := p_step.flags & 64 = 64;
    v_queues text[] := '{}';
    v_ask jsonb;
    v_row steps;
    v_come jsonb;
    v_came integer := 0;
    v_ended integer := 0;
    v_bad boolean := false;
    v_unmet integer := (p_terms -> 'unmet')::integer;
    v_goes_on boolean;
begin
    if v_count > 0 then
        update runs r
        set next_ordinal = r.next_ordinal + v_count, remaining = r.remaining + v_count
        where r.shard = p_shard and r.run_id = p_step.run_id
        returning r.next_ordinal - v_count into strict v_first;
        if v_first <> (v_asks #> '{0,ordinal}')::integer then
            raise exception 'run % would get its step % as %: its history is not the one that was replayed', p_step.run_id, v_asks #> '{0,ordinal}', v_first
                using errcode = 'TR001', hint = 'this is a defect; trib replay shows the history';
        end if;
        with ask as materialized (
            select a.*, a.kind = 'run' as runs,
                   case a.kind when 'child' then 'trib.workflow.v1' when 'wait' then case a.terms ->> 'kind' when 'approval' then 'trib.approve.v1' else 'trib.wait.v1' end
                        else a.name end as row_name
            from jsonb_to_recordset(v_asks) as a(ordinal integer, id text, kind text, name text, payload jsonb, options jsonb, terms jsonb)
        ), resolved as materialized (
            select d.name, d.own, r.name is not null as known, resolve_options(d.own, null, r.options, null, null) as options
            from (select distinct a.name, coalesce(a.options, '{}') as own from ask a where a.runs) as d
            left join registry r on r.name = d.name and r.offered_at is not null
        ), given as materialized (
            select a.ordinal, a.id, a.kind, a.row_name, coalesce(a.payload, '{}') as payload, coalesce(r.known, true) as known, nullif(r.options, '{}') as options,
                   payload_at_home(coalesce(a.payload, '{}'), nullif(r.options, '{}'), null, coalesce(r.known, true)) as home
            from ask a
            left join resolved r on a.runs and r.name = a.name and r.own = coalesce(a.options, '{}')
        ), stored as (
            insert into steps (run_id, seq, created_at, started_at, ordinal, unmet, kind, state, shard, priority, flags, max_attempts, tenant_id, name, queue,
                               step_id, reason, payload)
            select p_step.run_id, v_seq + g.ordinal, p_now, case when g.kind = 'wait' then p_now end, g.ordinal, 0, 'step',
                   case when g.kind = 'wait' or not g.known or v_paused then 'waiting' else 'available' end::step_state, p_shard,
                   coalesce((g.options #>> '{priority,value}')::smallint, p_step.priority), 16384 | case when v_paused then 64 else 0 end,
                   coalesce((g.options #>> '{max_attempts,value}')::smallint, builtin_attempts(g.row_name)), p_step.tenant_id, g.row_name,
                   private_queue(v_private, case when g.kind <> 'run' then '~closing' else coalesce(g.options #>> '{queue,value}', 'default') end), g.id,
                   case when not g.known then 'no_handler' when g.kind <> 'wait' and v_paused then 'paused' end,
                   case when g.home then g.payload end
            from given g
            returning queue, state
        ), kept as (
            insert into payloads (run_id, ordinal, shard, payload, options)
            select p_step.run_id, g.ordinal, p_shard, g.payload, g.options from given g where not g.home
        )
        select coalesce(array_agg(distinct s.queue) filter (where s.state = 'available'), '{}') into v_queues from stored s;
        insert into edges (run_id, parent, child, shard)
        select p_step.run_id, v_first + n, p_step.ordinal, p_shard from generate_series(0, v_count - 1) as n;
        for v_ask in select a from jsonb_array_elements(v_asks) as a where a ->> 'kind' = 'wait' loop
            select s.* into strict v_row from steps s
            where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = (v_ask -> 'ordinal')::integer;
            v_come := begin_wait(p_shard, v_row, v_ask -> 'terms', p_now);
            if v_come is not null then
                update steps s set state = 'completed', finished_at = p_now, result = v_come
                where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = v_row.ordinal;
                v_came := v_came + 1;
            end if;
        end loop;
        if v_came > 0 then
            update runs r set remaining = r.remaining - v_came where r.shard = p_shard and r.run_id = p_step.run_id;
        end if;
    end if;
    if jsonb_array_length(coalesce(p_terms -> 'open', '[]')) > 0 then
        -- what ended while the function was at work told nobody
        select count(*), coalesce(bool_or(s.state <> 'completed'), false) into v_ended, v_bad
        from jsonb_array_elements_text(p_terms -> 'open') as o(ordinal)
        cross join lateral (
            select k.state from steps k where k.shard = p_shard and k.run_id = p_step.run_id and k.ordinal = o.ordinal::integer offset 0
        ) as s
        where s.state >= 'completed';
    end if;
    v_unmet := greatest(v_unmet - v_ended - v_came, 0);
    v_goes_on := v_unmet = 0 or v_bad;
    update steps s
    set state = case when not v_goes_on or v_paused then 'waiting' else 'available' end::step_state,
        reason = case when not v_goes_on then 'steps' when v_paused then 'paused' end,
        unmet = case when v_goes_on then 0 else v_unmet end, process_id = null, attempt = s.attempt_base, run_at = null, crashes = 0, lone_crashes = null,
        started_at = coalesce(s.started_at, s.claimed_at), flags = (s.flags | 8192 | 4) & ~2,
        seq = case when v_goes_on then greatest(s.seq + 1, clock_us()) else s.seq end
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    perform wake(v_queues || case when v_goes_on and not v_paused then array[p_step.queue] else '{}' end);
end $$;
