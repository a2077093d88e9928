-- Steps of runs have ended: releases or skips what needed them, transitively, and ends runs with nothing left.
-- p_ends per step: 0 good, 1 tolerated, 2 failed, 3 skipped because a need ended badly, 4 failed in a hook, 5 a failed item of
-- a fan-out, 6 one that may be tolerated, 7 a failed step that a workflow function has asked for.
-- p_next_…: with what of these lanes the caller goes on (find_next_in_line), in that process and at most so many; where those rows lie is returned,
-- with a null at the end if that was not all.
-- The caller holds the root runs' locks.
drop function if exists tributary.settle_steps(smallint, uuid[], integer[], smallint[], timestamptz, text[], text[], integer);
create or replace function tributary.settle_steps(
    p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_ends smallint[], p_now timestamptz,
    p_queues text[], p_names text[], p_free integer,
    p_next_process bigint, p_next_most integer, p_next_queues text[], p_next_priorities smallint[], p_next_tenants text[], p_next_befores bigint[]
) returns tid[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
as $$
declare
    v_run_ids uuid[] := p_run_ids;
    v_ordinals integer[] := p_ordinals;
    v_ends smallint[] := p_ends;
    v_ended_runs uuid[] := p_run_ids;
    v_ended_how smallint[] := p_ends;
    v_tids tid[];
    v_counts integer[];
    v_bad integer[];
    v_run_ats timestamptz[];
    v_states step_state[];
    v_queues text[] := '{}';
    v_mine integer := 0;
    v_freed text[];
    v_own integer;
    v_fan_runs uuid[];
    v_fans integer[];
    v_fan_ended integer[];
    v_fan_bad integer[];
    v_stopped integer[];
    v_left integer;
    v_settled boolean;
    v_handed tid[] := '{}';
    v_more boolean := false;
begin
    if coalesce(cardinality(p_run_ids), 0) = 0 then
        return v_handed;
    elsif p_next_process is null and cardinality(p_run_ids) = 1 and p_ends[1] = 0 then
        -- who goes on with what is released has tried that already (end_leases)
        select o.settled into v_settled
        from settle_one(p_shard, p_run_ids[1], p_ordinals[1], p_now, p_queues, p_names, p_free, null, null, null, null, null) as o;
        if v_settled then
            return v_handed;
        end if;
    end if;
    loop
        with hit as materialized (
            select ended.run_id, e.child, count(*)::integer as n, count(*) filter (where ended.how >= 2)::integer as bad
            from unnest(v_run_ids, v_ordinals, v_ends) as ended(run_id, ordinal, how)
            cross join lateral (
                select k.child from edges k
                where k.shard = p_shard and k.run_id = ended.run_id and k.parent = ended.ordinal offset 0
            ) as e
            group by ended.run_id, e.child
        )
        select array_agg(held.tid), array_agg(hit.n), array_agg(hit.bad), array_agg(due.run_at),
               array_agg(case when held.unmet > hit.n and (held.reason is distinct from 'steps' or hit.bad = 0) then held.state
                              when (hit.bad > 0 or held.flags & 2 = 2) and held.flags & 4 = 0 then 'skipped'
                              when held.reason = 'no_handler' or held.flags & 192 <> 0 then 'waiting'
                              when due.run_at > p_now then 'scheduled'
                              when held.handed then 'running'
                              else 'available' end::step_state)
        into v_tids, v_counts, v_bad, v_run_ats, v_states
        from hit
        cross join lateral (
            select s.ctid as tid, s.state, s.unmet, s.flags, s.reason, s.run_at,
                   p_next_process is not null and s.state = 'blocked' and s.expires_at is null and s.name = any (p_names) and exists (
                       select from unnest(p_next_queues, p_next_priorities, p_next_tenants, p_next_befores) as l(queue, priority, tenant_id, before)
                       where l.queue = s.queue and l.priority = s.priority and l.tenant_id = s.tenant_id and s.seq < l.before) as handed
            from steps s
            where s.shard = p_shard and s.run_id = hit.run_id and s.ordinal = hit.child
            for update offset 0
        ) as held
        cross join lateral (
            select case when held.flags & 16 = 16 and held.unmet = hit.n
                        then (select due_at(p.options -> 'run_after', p_now) from payloads p
                              where p.shard = p_shard and p.run_id = hit.run_id and p.ordinal = hit.child)
                        else held.run_at end as run_at
        ) as due
        where held.state = 'blocked' or held.reason in ('items', 'steps');
        exit when v_tids is null;
        if p_next_process is not null then
            v_left := p_next_most - cardinality(v_handed);
            if (select count(*) from unnest(v_states) as s where s = 'running') > v_left then
                -- more than the caller takes at once
                v_more := true;
                v_states := array(select case when u.state = 'running' and count(*) filter (where u.state = 'running') over (order by u.i) > v_left
                                              then 'available' else u.state end
                                  from unnest(v_states) with ordinality as u(state, i) order by u.i);
            end if;
        end if;

        select array_agg(d.run_id) filter (where d.state = 'skipped'), array_agg(d.ordinal) filter (where d.state = 'skipped'),
               array_agg(d.queue) filter (where d.state = 'available' and not d.own),
               count(*) filter (where d.state = 'available' and d.own),
               array_agg(distinct d.queue) filter (where d.state = 'available'),
               array_agg(d.run_id) filter (where d.gathers), array_agg(d.ordinal) filter (where d.gathers),
               array_agg(d.n) filter (where d.gathers), array_agg(d.bad) filter (where d.gathers),
               v_handed || array_agg(d.tid) filter (where d.state = 'running')
        into v_run_ids, v_ordinals, v_freed, v_own, v_queues, v_fan_runs, v_fans, v_fan_ended, v_fan_bad, v_handed
        from (
            select w.*, w.queue = any (p_queues) and w.name = any (p_names) as own,
                   -- without progress it has no items yet: its run is paused
                   w.state = 'waiting' and w.name = 'trib.fan.v1' and exists (
                       select from progress p where p.shard = p_shard and p.run_id = w.run_id and p.ordinal = w.ordinal) as gathers
            from write_decisions(p_shard, v_tids, v_counts, v_bad, v_run_ats, v_states, p_now, p_next_process) as w
        ) as d;
        v_mine := v_mine + v_own;
        -- more than the caller takes at once, or not for the caller: somebody else has to be told
        perform wake(case when v_mine > least(p_free, coalesce(p_next_most, p_free) - cardinality(v_handed)) then v_queues else v_freed end);
        v_ends := array_fill(3::smallint, array[coalesce(cardinality(v_run_ids), 0)]);
        for i in 1 .. coalesce(cardinality(v_fans), 0) loop
            v_stopped := advance_fan(p_shard, v_fan_runs[i], v_fans[i], v_fan_ended[i], v_fan_bad[i], p_now);
            v_run_ids := v_run_ids || array_fill(v_fan_runs[i], array[cardinality(v_stopped)]);
            v_ordinals := v_ordinals || v_stopped;
            v_ends := v_ends || array_fill(5::smallint, array[cardinality(v_stopped)]);
        end loop;
        exit when coalesce(cardinality(v_run_ids), 0) = 0;
        v_ended_runs := v_ended_runs || v_run_ids;
        v_ended_how := v_ended_how || v_ends;
    end loop;
    perform count_ended(p_shard, v_ended_runs, v_ended_how, p_now, p_queues, p_names, p_free);
    return case when v_more then v_handed || null::tid else v_handed end;
end $$;
