-- Workflow functions give back their process until something comes that they wait for. p_terms of each: {asks: [{ordinal, id, kind, name, payload,
-- options, terms}], open: [ordinals], unmet}. Makes the steps that they have asked for; what they had asked for earlier and what is open still is looked
-- at once more: where enough of that has ended meanwhile, or something badly, a function is available at once.
-- kind: run (a handler), child (a workflow), or wait (terms as begin_wait takes them). unmet: how many of the open and new ones have to end until it can go on.
-- The caller holds the root runs' locks and has locked the steps, p_tids. All is found by key, and written by ctid: one plan for any number.
-- Index: steps_pkey, runs_pkey, registry_pkey, edges_pkey, payloads_pkey.
create or replace function tributary.suspend_steps(p_shard smallint, p_tids tid[], p_terms text[], p_now timestamptz) returns void
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
    v_seq bigint := clock_us();
    v_run_tids tid[];
    v_counts integer[];
    v_misfit text;
    v_queues text[];
    v_more text[];
    v_run_ids uuid[];
    v_ordinals integer[];
    v_waits jsonb[];
    v_row steps;
    v_come jsonb;
    v_came_runs uuid[] := '{}';
    v_ended integer[];
    v_bad boolean[];
    v_us bigint;
begin
    select array_agg(r.tid), array_agg(c.n), min(format('run %s would get its step %s as %s', c.run_id, c.first, r.next_ordinal)) filter (where c.first <> r.next_ordinal)
    into v_run_tids, v_counts, v_misfit
    from (
        select s.run_id, count(*)::integer as n, min((a.ask -> 'ordinal')::integer) as first
        from unnest(p_tids, p_terms) as u(tid, terms)
        cross join lateral (select k.run_id from steps k where k.ctid = u.tid and k.shard = p_shard offset 0) as s
        cross join lateral jsonb_array_elements(u.terms::jsonb -> 'asks') as a(ask)
        group by s.run_id
    ) as c
    cross join lateral (select k.ctid as tid, k.next_ordinal from runs k where k.shard = p_shard and k.run_id = c.run_id offset 0) as r;
    if v_misfit is not null then
        raise exception '%: its history is not the one that was replayed', v_misfit
            using errcode = 'TR001', hint = 'this is a defect; trib replay shows the history';
    end if;
    if v_run_tids is not null then
        update runs r set next_ordinal = r.next_ordinal + c.n, remaining = r.remaining + c.n
        from unnest(v_run_tids, v_counts) as c(tid, n)
        where r.ctid = c.tid and r.shard = p_shard;
        with ask as materialized (
            select s.run_id, s.ordinal as main, s.tenant_id, s.correlated, s.priority, s.flags & 64 = 64 as paused, case when s.queue like '@%' then s.queue end as private,
                   a.ordinal, a.id, a.kind, a.name, coalesce(a.payload, '{}') as payload, coalesce(a.options, '{}') as own,
                   case a.kind when 'child' then 'trib.workflow.v1' when 'wait' then case a.terms ->> 'kind' when 'approval' then 'trib.approve.v1' else 'trib.wait.v1' end
                        else a.name end as row_name,
                   case when a.kind = 'wait' then a.terms end as wait, coalesce(o.config, '{}') as config, coalesce(o.submit, '{}') as submit
            from unnest(p_tids, p_terms) as u(tid, terms)
            cross join lateral (
                select k.run_id, k.ordinal, k.tenant_id, k.correlated, k.priority, k.flags, k.queue from steps k where k.ctid = u.tid and k.shard = p_shard offset 0
            ) as s
            -- what the submit said of the run holds for all its steps
            left join lateral (
                select jsonb_object_agg(l.key, l.value) filter (where l.value ->> 'level' = 'config') as config,
                       jsonb_object_agg(l.key, l.value) filter (where l.value ->> 'level' = 'submit') as submit
                from payloads p cross join lateral jsonb_each(p.options) as l
                where p.shard = p_shard and p.run_id = s.run_id and p.ordinal = s.ordinal
            ) as o on true
            cross join lateral jsonb_to_recordset(u.terms::jsonb -> 'asks') as a(ordinal integer, id text, kind text, name text, payload jsonb, options jsonb, terms jsonb)
        ), resolved as materialized (
            -- resolving costs more than storing, and most steps have equal options
            select d.name, d.own, d.config, d.submit, r.name is not null as known,
                   nullif(d.config || option_levels(r.options, 'handler') || d.submit || option_levels(d.own, 'step'), '{}') as options
            from (select distinct a.name, a.own, a.config, a.submit from ask a where a.kind = 'run') as d
            left join lateral (select k.name, k.options from registry k where k.name = d.name and k.offered_at is not null offset 0) as r on true
        ), given as materialized (
            select a.*, coalesce(r.known, true) as known, r.options, payload_at_home(a.payload, r.options, null, coalesce(r.known, true)) as home
            from ask a
            left join resolved r on a.kind = 'run' and r.name = a.name and r.own = a.own and r.config = a.config and r.submit = a.submit
        ), stored as (
            insert into steps (run_id, seq, created_at, started_at, ordinal, unmet, kind, state, shard, priority, flags, max_attempts, tenant_id, name, queue,
                               step_id, reason, payload, correlated)
            select g.run_id, v_seq + row_number() over (order by g.run_id, g.ordinal), p_now, case when g.kind = 'wait' then p_now end, g.ordinal, 0, 'step',
                   case when g.kind = 'wait' or not g.known or g.paused then 'waiting' else 'available' end::step_state, p_shard,
                   coalesce((g.options #>> '{priority,value}')::smallint, g.priority), 16384 | case when g.paused then 64 else 0 end,
                   coalesce((g.options #>> '{max_attempts,value}')::smallint, builtin_attempts(g.row_name)), g.tenant_id, g.row_name,
                   private_queue(g.private, case when g.kind <> 'run' then '~closing' else coalesce(g.options #>> '{queue,value}', 'default') end), g.id,
                   case when not g.known then 'no_handler' when g.kind <> 'wait' and g.paused then 'paused' end,
                   case when g.home then g.payload end, g.correlated
            from given g
            order by g.run_id, g.ordinal
            returning queue, state
        ), kept as (
            insert into payloads (run_id, ordinal, shard, payload, options)
            select g.run_id, g.ordinal, p_shard, g.payload, g.options from given g where not g.home order by g.run_id, g.ordinal
        ), needed as (
            insert into edges (run_id, parent, child, shard)
            select g.run_id, g.ordinal, g.main, p_shard from given g order by g.run_id, g.ordinal
        )
        select (select array_agg(distinct s.queue) filter (where s.state = 'available') from stored s),
               array_agg(g.run_id order by g.run_id, g.ordinal) filter (where g.wait is not null),
               array_agg(g.ordinal order by g.run_id, g.ordinal) filter (where g.wait is not null),
               array_agg(g.wait order by g.run_id, g.ordinal) filter (where g.wait is not null)
        into v_queues, v_run_ids, v_ordinals, v_waits
        from given g;
        for i in 1 .. coalesce(cardinality(v_run_ids), 0) loop
            select s.* into strict v_row from steps s where s.shard = p_shard and s.run_id = v_run_ids[i] and s.ordinal = v_ordinals[i];
            v_come := begin_wait(p_shard, v_row, v_waits[i], p_now);
            if v_come is not null then
                update steps s set state = 'completed', finished_at = p_now, result = v_come
                where s.shard = p_shard and s.run_id = v_run_ids[i] and s.ordinal = v_ordinals[i];
                update runs r set remaining = r.remaining - 1 where r.shard = p_shard and r.run_id = v_run_ids[i];
                v_came_runs := v_came_runs || v_run_ids[i];
            end if;
        end loop;
    end if;
    -- what ended while a function was at work told nobody
    select array_agg(coalesce(o.ended, 0) + coalesce(cardinality(array_positions(v_came_runs, s.run_id)), 0) order by u.i), array_agg(coalesce(o.bad, false) order by u.i)
    into v_ended, v_bad
    from unnest(p_tids, p_terms) with ordinality as u(tid, terms, i)
    cross join lateral (select k.run_id from steps k where k.ctid = u.tid and k.shard = p_shard offset 0) as s
    left join lateral (
        select count(*)::integer as ended, bool_or(e.state <> 'completed') as bad
        from jsonb_array_elements_text(u.terms::jsonb -> 'open') as open(ordinal)
        cross join lateral (
            select k.state from steps k where k.shard = p_shard and k.run_id = s.run_id and k.ordinal = open.ordinal::integer offset 0
        ) as e
        where e.state >= 'completed'
    ) as o on true;
    v_us := clock_us();
    with turn as materialized (
        select u.tid, u.i, u.bad or u.ended >= (u.terms::jsonb -> 'unmet')::integer as goes_on, (u.terms::jsonb -> 'unmet')::integer - u.ended as unmet
        from unnest(p_tids, p_terms, v_ended, v_bad) with ordinality as u(tid, terms, ended, bad, i)
    ), written as (
        update steps s
        set state = case when not t.goes_on or s.flags & 64 = 64 then 'waiting' else 'available' end::step_state,
            reason = case when not t.goes_on then 'steps' when s.flags & 64 = 64 then 'paused' end,
            unmet = case when t.goes_on then 0 else t.unmet end, process_id = null, attempt = s.attempt_base, run_at = null, crashes = 0, lone_crashes = null,
            started_at = coalesce(s.started_at, s.claimed_at), flags = (s.flags | 8192 | 4) & ~2,
            seq = case when t.goes_on then greatest(s.seq + 1, v_us + t.i) else s.seq end
        from turn t
        where s.ctid = t.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(distinct w.queue) filter (where w.state = 'available') into v_more from written w;
    perform wake(v_queues || v_more) where cardinality(v_queues || v_more) > 0;
end $$;
