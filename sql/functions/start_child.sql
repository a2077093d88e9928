-- Starts the child run of a step, which waits for its end. p_child: {revision, name, inputs, group, cached}; cached, if it is there: as what the
-- result is to be kept, which the step that waits makes of all that ask for it. The caller holds the root run's lock.
-- Returns null, or why there is none: its concurrency group is full and says reject. Then the step is as it was.
create or replace function tributary.start_child(p_shard smallint, p_step steps, p_child jsonb, p_now timestamptz) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_parent runs;
    v_child uuid;
    v_cache jsonb;
begin
    select * into strict v_parent from runs r where r.shard = p_shard and r.run_id = p_step.run_id;
    -- who was submitted without the cache has no part that uses it
    select p.options #> '{cache,value}' into v_cache from payloads p
    where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = p_step.ordinal;
    perform set_config('tributary.group', coalesce(p_child ->> 'group', ''), true);
    begin
        select r.run_id into strict v_child
        from record_run((p_child ->> 'revision')::uuid, p_child ->> 'name', p_child -> 'inputs', null,
                        jsonb_build_object('priority', nullif(v_parent.priority, 0), 'cache', v_cache), null, null, v_parent.labels, v_parent.tenant_id, null,
                        case when p_step.queue like '@%' then p_step.queue end, v_parent.runner_id,
                        v_parent.root_id, v_parent.run_id, p_step.ordinal) as r;
    exception when sqlstate 'TR004' then
        -- raised further it would tell the process that it is fenced
        return sqlerrm;
    end;
    if p_child ? 'cached' then
        update runs r set flags = r.flags | 256 where r.shard = p_shard and r.run_id = v_child;
        update payloads p set options = coalesce(p.options, '{}') || jsonb_build_object('cached', p_child -> 'cached' || jsonb_build_object('seq', p_step.seq))
        where p.shard = p_shard and p.run_id = v_child and p.ordinal = 0;
    end if;
    if v_parent.state = 'paused' then
        -- the step was at it when the run was paused
        perform pause_run(v_child);
    end if;
    update steps s
    set state = 'waiting', reason = 'child', process_id = null, started_at = coalesce(s.started_at, s.claimed_at)
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    return null;
end $$;
