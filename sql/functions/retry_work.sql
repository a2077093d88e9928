-- What retry and retry_only do. from_steps: these and all below; only_steps: these (STEP or STEP[KEY]) and below what did not end well.
-- A step that its own condition skipped is decided anew when something above it runs again; what completed below it keeps its result.
-- Locks: root run, then steps, then the counter of the run's group.
create or replace function tributary.retry_work(id uuid, from_steps text[], only_steps text[]) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_state step_state;
    v_again integer[];
    v_items integer[];
    v_missing text;
    v_queue text;
    v_names text[];
    v_fans integer[];
    v_group text;
    v_plan jsonb;
    v_undone integer[];
    v_function boolean;
    v_us bigint;
    v_now timestamptz;
begin
    from_steps := nullif(from_steps, '{}');
    only_steps := nullif(only_steps, '{}');
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if not found then
        select s.state into v_state from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = 0 and s.kind = 'intent' for update;
        if not found then
            raise exception 'no run or intent has the id %', id using errcode = 'TR003', hint = 'list them: trib list';
        elsif only_steps is not null then
            raise exception '% is an intent and has no steps', id using errcode = 'TR004', hint = 'retry it as a whole';
        elsif v_state not in ('discarded', 'cancelled') then
            raise exception 'intent % is %; only a discarded or cancelled one is retried', id, v_state
                using errcode = 'TR004', hint = 'submit a new one to run it once more';
        end if;
        perform leave_runner(v_shard, id);
        perform start_over(v_shard, id, array[0]);
        return (select s.state::text from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = 0);
    end if;

    if v_run.state = 'running' and from_steps is null and only_steps is null and release_parked_step(v_shard, id) then
        return 'running';
    end if;
    v_function := (select v.plan ? 'function' from revisions v where v.revision_id = v_run.revision_id);
    if v_function and 'main' = all (from_steps || only_steps) then
        -- its own step is all of it: as who looks at its dead letter names it
        from_steps := null;
        only_steps := null;
    end if;
    if not exists (select from runs r where r.shard = v_shard and r.run_id = v_run.root_id) then
        raise exception 'the root of run % is gone, and the run with it', id using errcode = 'TR003', hint = 'finished work is pruned after a while; submit it anew';
    elsif from_steps is null and only_steps is null and v_run.state not in ('failed', 'cancelled') then
        raise exception 'run % is %; only a failed or cancelled run is retried', id, v_run.state
            using errcode = 'TR004', hint = case when v_run.state = 'completed' then 'name the step to start from, or use rerun' else 'cancel it first' end;
    elsif v_run.state in ('running', 'paused') then
        raise exception 'run % has not ended: it is %', id, v_run.state using errcode = 'TR004', hint = 'cancel it first';
    end if;
    if v_function and (from_steps is not null or only_steps is not null) then
        raise exception 'run % is of a workflow function, whose steps are not retried by name', id
            using errcode = 'TR004', hint = 'retry all of it, or start it anew: trib rerun';
    elsif v_function and exists (select from steps s where s.shard = v_shard and s.run_id = id and s.flags & 7680 = hook_bits('undo')) then
        raise exception 'what run % had done is undone', id using errcode = 'TR004', hint = 'start it anew: trib rerun';
    end if;
    perform leave_runner(v_shard, id);
    if only_steps is not null then
        -- STEP or STEP[KEY]
        v_names := array(select case when o like '%[%]' then left(o, strpos(o, '[') - 1) else o end from unnest(only_steps) as o);
        select string_agg(quote_nullable(u.f), ', ') into v_missing from unnest(only_steps, v_names) as u(f, name)
        where not exists (select from steps s where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.step_id = u.name and s.flags & 7936 = 0);
        if v_missing is not null then
            raise exception 'run % has no step %', id, v_missing using errcode = 'TR003', hint = 'trib status shows its steps';
        end if;
        select array_agg(i.ordinal) filter (where i.ordinal is not null), string_agg(quote_nullable(u.f), ', ') filter (where i.ordinal is null)
        into v_items, v_missing
        from unnest(only_steps, v_names) as u(f, name)
        left join steps i on i.shard = v_shard and i.run_id = id and i.step_id = u.name and i.flags & 256 = 256
            and u.f = u.name || '[' || i.item_key || ']'
            -- what aggregates the items is no item
            and not exists (select from progress p join edges e on e.shard = v_shard and e.run_id = id and e.parent = i.ordinal and e.child = p.ordinal
                            where p.shard = v_shard and p.run_id = id and (p.details -> 'aggregate')::integer = i.ordinal)
        where u.f <> u.name;
        if v_missing is not null then
            raise exception 'run % has no item %', id, v_missing using errcode = 'TR003', hint = 'trib status --items STEP shows them';
        end if;
        v_again := array(
            with recursive below as (
                select s.ordinal from steps s
                where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.step_id = any (v_names) and s.flags & 7936 = 0
                union
                select c.ordinal from below b
                join edges e on e.shard = v_shard and e.run_id = id and e.parent = b.ordinal
                join steps c on c.shard = v_shard and c.run_id = id and c.ordinal = e.child
                where c.kind = 'step' and (c.reason = 'condition' or ended_badly(c.state, c.flags, c.reason))
            )
            select b.ordinal from below b);
        -- fan-outs that are named as a whole
        v_fans := array(
            select s.ordinal from steps s
            where s.shard = v_shard and s.run_id = id and s.step_id = any (only_steps) and s.name = 'trib.fan.v1');
    elsif from_steps is null then
        v_again := array(
            with recursive below as (
                select s.ordinal from steps s
                where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.flags & 7936 = 0
                  and ended_badly(s.state, s.flags, s.reason)
                  -- a workflow function that has taken note of a failure went on from it
                  and not (is_asked(s.flags) and exists (
                      select from history h cross join jsonb_array_elements(h.events) as e(event)
                      where h.shard = v_shard and h.run_id = id and e.event ->> 'type' = 'ended' and (e.event -> 'ordinal')::integer = s.ordinal))
                union
                select c.ordinal from below b
                join edges e on e.shard = v_shard and e.run_id = id and e.parent = b.ordinal
                join steps c on c.shard = v_shard and c.run_id = id and c.ordinal = e.child
                where c.kind = 'step' and c.reason = 'condition'
            )
            select b.ordinal from below b);
        -- with a closing step the run may have stopped in it alone
        if cardinality(v_again) = 0 and v_run.closing_ordinal is null then
            raise exception 'run % has no failed step to retry', id using errcode = 'TR004', hint = 'name the step to start from';
        end if;
    else
        select string_agg(quote_nullable(f), ', ') into v_missing from unnest(from_steps) f
        where not exists (select from steps s where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.step_id = f and s.flags & 7680 = 0);
        if v_missing is not null then
            raise exception 'run % has no step %', id, v_missing using errcode = 'TR003', hint = 'trib status shows its steps';
        end if;
        v_again := array(
            with recursive below as (
                select s.ordinal from steps s
                where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.step_id = any (from_steps) and s.flags & 7936 = 0
                union
                select e.child from below b join edges e on e.shard = v_shard and e.run_id = id and e.parent = b.ordinal
            )
            select b.ordinal from below b);
    end if;
    if from_steps is not null or only_steps is not null then
        select string_agg(distinct s.step_id, ', ') into v_missing
        from edges e join steps s on s.shard = v_shard and s.run_id = id and s.ordinal = e.parent
        where e.shard = v_shard and e.run_id = id and e.child = any (v_again) and e.parent <> all (v_again) and s.flags & 256 = 0
          and ended_badly(s.state, s.flags, s.reason);
        if v_missing is not null then
            raise exception 'what is to run again needs % which did not end well', v_missing
                using errcode = 'TR004', hint = 'start from there';
        end if;
    end if;

    -- what was undone runs again, whatever was asked for
    v_undone := drop_undo(v_shard, id);
    v_again := v_again || array(select u from unnest(v_undone) as u where u <> all (v_again));
    v_fans := v_fans || array(select s.ordinal from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = any (v_undone) and s.name = 'trib.fan.v1');
    -- a fan-out that failed by itself runs its failed items again; one that is named, or whose list may become another one since what it
    -- needs runs again, runs as a whole
    if from_steps is null then
        v_fans := v_fans || array(
            select f.ordinal from steps f
            where f.shard = v_shard and f.run_id = id and f.ordinal = any (v_again) and f.name = 'trib.fan.v1'
              and exists (select from edges e join steps n on n.shard = v_shard and n.run_id = id and n.ordinal = e.parent
                          where e.shard = v_shard and e.run_id = id and e.child = f.ordinal and e.parent = any (v_again) and n.flags & 256 = 0));
        v_items := v_items || array(
            select i.ordinal
            from steps f
            join edges e on e.shard = v_shard and e.run_id = id and e.child = f.ordinal
            join steps i on i.shard = v_shard and i.run_id = id and i.ordinal = e.parent
            where f.shard = v_shard and f.run_id = id and f.ordinal = any (v_again) and f.flags & 8192 = 8192
              and i.flags & 256 = 256 and i.state in ('discarded', 'cancelled', 'skipped') and i.reason is distinct from 'condition'
              and i.ordinal <> all (coalesce(v_items, '{}')) and f.ordinal <> all (coalesce(v_fans, '{}')));
        perform drop_items(v_shard, id, v_fans) where cardinality(v_fans) > 0;
        v_items := array(select i from unnest(v_items) as i
                         where exists (select from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = i));
        -- what was made of all items is made anew
        update steps f set flags = f.flags & ~16384
        where f.shard = v_shard and f.run_id = id and f.name = 'trib.fan.v1' and f.ordinal = any (v_again)
          and exists (select from edges e join steps i on i.shard = v_shard and i.run_id = id and i.ordinal = e.parent
                      where e.shard = v_shard and e.run_id = id and e.child = f.ordinal and e.parent = any (v_items)
                        and i.payload is distinct from '{"aggregate": true}');
    else
        perform drop_items(v_shard, id, array(select s.ordinal from steps s
                                              where s.shard = v_shard and s.run_id = id and s.ordinal = any (v_again) and s.name = 'trib.fan.v1'));
    end if;
    perform drop_items(v_shard, id, array(select s.ordinal from steps s where s.shard = v_shard and s.run_id = id
                                            and s.name = 'trib.fan.v1' and s.flags & 7680 <> 0));
    perform start_over(v_shard, id, v_again || coalesce(v_items, '{}'));
    v_now := clock();
    update runs r
    set state = 'running', finished_at = null, reason = null, error = null, result = null, ending = null,
        phase = case when cardinality(v_again) = 0 then 'closing' else 'steps' end,
        remaining = cardinality(v_again) + coalesce(cardinality(v_items), 0),
        deadline = v_now + make_interval(secs => (select (v.plan ->> 'timeout')::float8 from revisions v where v.revision_id = r.revision_id)),
        -- what stays cancelled or aborted keeps the run from completing
        failed = (select count(*) from steps s where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.flags & 7936 = 0
                  and ended_badly(s.state, s.flags, s.reason) and s.reason is distinct from 'upstream' and not is_asked(s.flags)),
        warnings = (select count(*) from steps s where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.flags & 7936 = 0
                    and s.state = 'discarded' and s.flags & 1 = 1 and s.reason <> 'aborted')
    where r.shard = v_shard and r.run_id = id;
    perform undecide_steps(v_shard, id, array(select s.ordinal from steps s where s.shard = v_shard and s.run_id = id and s.flags & 7680 <> 0));
    v_us := clock_us();
    update steps s
    set state = 'blocked', reason = case when exists (select from registry k where k.name = s.name and k.offered_at is not null)
                                           or is_control(s.name)
                                         then null else 'no_handler' end,
        unmet = 1 + (select count(*) from edges e join steps n on n.shard = v_shard and n.run_id = id and n.ordinal = e.parent
                     where e.shard = v_shard and e.run_id = id and e.child = s.ordinal and n.flags & 256 = 0),
        flags = s.flags & ~(2 | 64), attempt_base = s.attempt, crashes = 0, lone_crashes = null, result = null, run_at = null, claimed_at = null,
        started_at = null, finished_at = null, seq = greatest(s.seq + 1, v_us + s.ordinal)
    where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.flags & 7680 <> 0 and s.flags & 256 = 0;
    perform hold_items(v_shard, id, f.ordinal)
    from steps f where f.shard = v_shard and f.run_id = id and f.ordinal = any (v_again) and f.flags & 8192 = 8192;
    if v_run.max_parallel is not null then
        perform wake(fill_run(v_shard, id, v_run.max_parallel, clock()));
    end if;
    v_us := clock_us();
    update steps s
    set state = (case when cardinality(v_again) = 0 then 'available' else 'blocked' end)::step_state,
        unmet = case when cardinality(v_again) = 0 then 0 else 1 end, flags = s.flags & ~64, crashes = 0, lone_crashes = null,
        finished_at = null, started_at = null, claimed_at = null, reason = null, attempt_base = s.attempt, seq = greatest(s.seq + 1, v_us + s.ordinal)
    where s.shard = v_shard and s.run_id = id and s.ordinal = v_run.closing_ordinal
    returning case when s.state = 'available' then s.queue end into v_queue;
    perform wake(array_remove(array[v_queue], null));
    if v_run.flags & 64 = 64 then
        -- its slot was given back when it ended
        select p.options ->> 'group' into v_group from payloads p where p.shard = v_shard and p.run_id = id and p.ordinal = 0;
        select v.plan into v_plan from revisions v where v.revision_id = v_run.revision_id;
        if group_run(v_shard, id, v_group, coalesce((v_plan #>> '{concurrency,limit}')::integer, 1),
                     coalesce(v_plan #>> '{concurrency,on_limit}', 'queue')) = 'rejected' then
            raise exception 'the concurrency group % is full', quote_literal(v_group)
                using errcode = 'TR004', hint = 'the workflow says on_limit: reject; retry it when a run of the group has ended';
        end if;
    end if;
    insert into event_log (run_id, at, shard, tenant_id, type, data)
    values (id, clock(), v_shard, v_run.tenant_id, 'run_retried',
            jsonb_strip_nulls(jsonb_build_object('from', from_steps, 'only', only_steps, 'steps', cardinality(v_again))));
    return 'running';
end $$;
