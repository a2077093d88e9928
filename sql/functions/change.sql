-- Public. Changes work that waits: its priority, queue, time (run_after: a moment in the past is now) and payload. id is that of an intent
-- or a run; step names one step of a run. Of a run, priority and queue go to all of its steps that wait or are blocked; its time can be
-- changed until it starts, a payload is that of a step. What is null stays. Returns the new state; the change is an event, with what was
-- and what is. Raises TR003 for what is unknown, TR004 for what runs or has ended.
-- Locks: root run, then steps.
create or replace function tributary.change(
    id uuid, priority integer default null, queue text default null, run_after timestamptz default null, payload jsonb default null,
    step text default null
) returns text
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_step steps;
    v_what text;
    v_data jsonb;
    v_run_at timestamptz;
    v_grouped boolean := false;
begin
    perform check_sight(id);
    if coalesce(priority::text, queue, run_after::text, payload::text) is null then
        raise exception 'nothing is to be changed' using errcode = 'TR001', hint = 'name a priority, a queue, a time or a payload';
    end if;
    perform check_options(jsonb_build_object('priority', priority, 'queue', queue));
    if payload is not null then
        perform check_payload('the payload', payload);
    end if;
    if payload is not null and only_submits() and step is not null then
        raise exception 'role % may not put payloads in the place of a workflow''s own', quote_literal(invoker_name())
            using errcode = '42501', hint = 'cancel the run and submit it with other inputs, or use the role of an admin';
    end if;
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if v_run.run_id is not null and step is null then
        if v_run.state not in ('running', 'paused') then
            raise exception 'run % has ended: it is %', id, v_run.state using errcode = 'TR004', hint = 'only what waits is changed';
        elsif payload is not null then
            raise exception 'the inputs of run % stay as they are', id using errcode = 'TR004', hint = 'cancel it and submit it anew, or name a step';
        elsif run_after is not null and not has_not_started(id) then
            raise exception 'run % has started', id using errcode = 'TR004', hint = 'name the step whose time is to be changed';
        end if;
        v_data := change_steps(v_shard, id, null, priority::smallint, queue, run_after, null);
        if v_data is null then
            raise exception 'no step of run % waits', id using errcode = 'TR004', hint = 'what runs goes on as it began';
        end if;
        v_data := v_data || changed(v_run.priority, coalesce(priority::smallint, v_run.priority), null, null, v_run.run_at, coalesce(run_after, v_run.run_at));
        update runs r set priority = coalesce(change.priority::smallint, r.priority) where r.shard = v_shard and r.run_id = id;
        if run_after is not null then
            -- its timeout counts from when it may start
            v_run_at := greatest(run_after, clock());
            update runs r
            set run_at = v_run_at, deadline = v_run_at + make_interval(secs => (
                    select (v.plan ->> 'timeout')::float8 from revisions v where v.revision_id = r.revision_id))
            where r.shard = v_shard and r.run_id = id;
        end if;
        insert into event_log (run_id, at, shard, tenant_id, type, data) values (id, clock(), v_shard, v_run.tenant_id, 'run_changed', v_data);
        return run_state_now(v_shard, id, v_run.state, coalesce(run_after, v_run.run_at));
    end if;

    v_what := case when step is null then 'intent ' || id else 'step ' || step || ' of run ' || id end;
    select * into v_step from steps s
    where s.shard = v_shard and s.run_id = id and s.kind <> 'closing'
      and case when step is null then s.kind = 'intent' else s.step_id = step and s.item_key is null end
    order by s.ordinal limit 1
    for update;
    if not found then
        raise exception '%', case when step is null then 'no run or intent has the id ' || id
                                  when v_run.run_id is null then 'no run has the id ' || id else 'run ' || id || ' has no step ' || step end
            using errcode = 'TR003', hint = case when v_run.run_id is null then 'list them: trib list' else 'trib status shows its steps' end;
    elsif v_step.finished_at is not null then
        raise exception '% has ended: it is %', v_what, v_step.state using errcode = 'TR004', hint = 'only what waits is changed';
    elsif v_step.state = 'running' then
        raise exception '% is running', v_what using errcode = 'TR004', hint = 'only what waits is changed; cancel it, or wait for its end';
    elsif queue is not null and v_step.queue ~ '^[~@]' and (v_step.name <> 'trib.options.v1' or v_step.queue like '@%') then
        raise exception '% is served by one process only', v_what using errcode = 'TR004', hint = 'its queue cannot be changed';
    end if;
    if payload is not null and step is null and starts_with(v_step.name, 'trib.') then
        perform check_submitter(v_step.name, '{}', false);
    end if;
    if payload is not null and step is not null then
        -- what brings a step to its group also evaluates its payload
        v_grouped := exists (
            select from revisions v cross join jsonb_array_elements(v.plan -> 'steps') as x
            where v.revision_id = v_run.revision_id and (x ->> 'ordinal')::integer = v_step.ordinal and x ->> 'concurrency' is not null);
        if v_grouped and payload::text like '%${{%' then
            raise exception '% belongs to a concurrency group: its payload cannot hold ${{', v_what
                using errcode = 'TR001', hint = 'a payload is taken as it is, without expressions';
        end if;
    end if;
    v_data := change_steps(v_shard, id, v_step.ordinal, priority::smallint, queue, run_after, payload) - 'steps';
    if v_grouped then
        update steps s set flags = s.flags | 8 where s.shard = v_shard and s.run_id = id and s.ordinal = v_step.ordinal;
    end if;
    v_data := v_data || changed(v_step.priority, coalesce(priority::smallint, v_step.priority), v_step.queue, coalesce(queue, v_step.queue),
                                v_step.run_at, coalesce(run_after, v_step.run_at));
    insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
    values (id, clock(), v_step.ordinal, v_step.attempt, v_shard, v_step.tenant_id, 'step_changed', v_data);
    return (select s.state::text from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = v_step.ordinal);
end $$;
