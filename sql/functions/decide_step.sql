-- The options of a step have been decided: it leaves its control name for its task (a handler, or what only waits) and may be claimed, or
-- waits for its time, its handler (and leaves its room to others), or its run to be resumed. p_values: what its expressions gave, without
-- those that gave null; for these the next level holds, as if the key were not written. What held without the expressions is kept beside
-- them, for undecide_steps.
-- A duration of run_after counts from where the needs ended (settle_steps has noted it in run_at), else from when the step was recorded.
-- That it was claimed for this is no attempt. The caller holds the root run's lock.
-- Index: payloads_pkey, registry_pkey, steps_pkey.
create or replace function tributary.decide_step(p_shard smallint, p_step steps, p_values jsonb, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_options jsonb;
    v_handler jsonb;
    v_name text;
    v_known boolean;
    v_since timestamptz := coalesce(case when p_step.flags & 16 = 16 then p_step.run_at end, p_step.created_at);
    v_run_at timestamptz := greatest(p_step.run_at, due_at(p_values -> 'run_after', v_since));
    v_state step_state;
    v_queue text;
    v_us bigint;
begin
    select p.options, p.options ->> 'name' into strict v_options, v_name from payloads p
    where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = p_step.ordinal;
    select r.options into v_handler from registry r where r.name = v_name and r.offered_at is not null;
    v_known := found or only_waits(v_name);
    -- its handler may have been offered only since it was recorded
    v_options := v_options || option_levels(v_handler, 'handler')
        || coalesce((select jsonb_object_agg(k.key, k.value) from jsonb_each(v_options) k where k.value ->> 'level' in ('submit', 'step')), '{}');
    v_options := v_options || option_levels(p_values, 'step') || jsonb_build_object('expressions', coalesce((
        select jsonb_object_agg(e.key, jsonb_strip_nulls(jsonb_build_object('text', e.value -> 'text', 'else', v_options -> e.key)))
        from jsonb_each(v_options -> 'expressions') e), '{}'));
    update payloads p set options = v_options
    where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = p_step.ordinal;

    v_state := case when not v_known or p_step.flags & 64 = 64 then 'waiting' when v_run_at > p_now then 'scheduled' else 'available' end;
    v_queue := private_queue(case when p_step.queue like '@%' then p_step.queue end,
                             case when only_waits(v_name) then p_step.queue else coalesce(v_options #>> '{queue,value}', 'default') end);
    v_us := clock_us();
    update steps s
    set name = v_name, state = v_state, queue = v_queue, run_at = v_run_at, process_id = null, claimed_at = null, started_at = null,
        reason = case when not v_known then 'no_handler' when v_state = 'waiting' then 'paused' end,
        priority = coalesce((v_options #>> '{priority,value}')::smallint, 0),
        max_attempts = coalesce((v_options #>> '{max_attempts,value}')::smallint, builtin_attempts(v_name)),
        attempt = s.attempt - 1, lone_crashes = null, seq = greatest(s.seq + 1, v_us)
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    if v_state = 'available' then
        perform wake(array[v_queue]);
    elsif not v_known and p_step.flags & 128 = 128 then
        perform wake(fill_run(p_shard, p_step.run_id, r.max_parallel, p_now))
        from runs r where r.shard = p_shard and r.run_id = p_step.run_id;
    end if;
end $$;
