-- Gives an intent that waits a new payload, options and time, and fresh attempts. Returns its state and queue, or no row where it does not
-- wait: it runs or has ended. A row that becomes claimable, or changes its lane, gets a new seq.
-- Locks: the intent. Index: steps_pkey, payloads_pkey.
create or replace function tributary.replace_intent(
    p_shard smallint, p_id uuid, p_payload jsonb, p_submit jsonb, p_config jsonb, p_run_at timestamptz, p_expires_at timestamptz,
    p_private text, p_why text
) returns table (run_id uuid, created boolean, state text, queue text, known boolean)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_step steps;
    v_now timestamptz;
    v_handler jsonb;
    v_options jsonb;
    v_state step_state;
    v_priority smallint;
    v_us bigint;
begin
    select * into v_step from steps s where s.shard = p_shard and s.run_id = p_id and s.ordinal = 0 and s.kind = 'intent' for update;
    if v_step.state is null or v_step.state not in ('scheduled', 'available', 'waiting') then
        return;
    end if;
    v_now := clock();
    select r.options, true into v_handler, known from registry r where r.name = v_step.name and r.offered_at is not null;
    known := coalesce(known, false);
    v_options := nullif(resolve_options(null, p_submit, v_handler, null, p_config), '{}');
    queue := private_queue(p_private, coalesce(v_options #>> '{queue,value}', 'default'));
    v_priority := coalesce((v_options #>> '{priority,value}')::smallint, 0);
    v_state := case when not known then 'waiting' when p_run_at > v_now then 'scheduled' else 'available' end;
    insert into payloads (run_id, ordinal, shard, payload, options)
    values (p_id, 0, p_shard, p_payload, v_options)
    on conflict (shard, run_id, ordinal) do update set payload = excluded.payload, options = excluded.options;
    -- what its attempts have reported was about the payload that is gone
    delete from progress p where p.shard = p_shard and p.run_id = p_id and p.ordinal = 0;
    v_us := clock_us();
    update steps s
    set state = v_state, run_at = p_run_at, queue = replace_intent.queue, priority = v_priority, payload = null,
        max_attempts = coalesce((v_options #>> '{max_attempts,value}')::smallint, builtin_attempts(s.name)),
        attempt_base = s.attempt, crashes = 0, lone_crashes = null, claimed_at = null, started_at = null, expires_at = p_expires_at,
        reason = case when not known then 'no_handler' end,
        seq = case when s.state = v_state and s.queue = replace_intent.queue and s.priority = v_priority then s.seq
                   else greatest(s.seq + 1, v_us) end
    where s.shard = p_shard and s.run_id = p_id and s.ordinal = 0;
    insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
    values (p_id, v_now, 0, v_step.attempt, p_shard, v_step.tenant_id, 'step_changed',
            jsonb_build_object('reason', p_why) || changed(v_step.priority, v_priority, v_step.queue, queue, v_step.run_at, p_run_at));
    if v_state = 'available' then
        perform wake(array[queue]);
    end if;
    run_id := p_id;
    created := false;
    state := v_state;
    return next;
end $$;
