-- A workflow function begins anew with other inputs, and without its history: the same run, whose finished steps go. p_terms: {inputs, count}.
-- Steps get numbers of their own again and again, so that nothing old is taken for something new.
-- The caller holds the root run's lock and has locked the step. Index: steps_pkey, payloads_pkey, history_pkey.
create or replace function tributary.continue_run(p_shard smallint, p_step steps, p_terms jsonb, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_gone integer[] := array(
        select s.ordinal from steps s
        where s.shard = p_shard and s.run_id = p_step.run_id and is_asked(s.flags) order by s.ordinal);
    v_inputs jsonb := p_terms -> 'inputs';
    v_next integer;
    v_us bigint;
begin
    perform leave_asked(p_shard, p_step.run_id, null, p_now);
    delete from edges e where e.shard = p_shard and e.run_id = p_step.run_id and e.parent = any (v_gone);
    delete from payloads p where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = any (v_gone);
    -- pruning finds these by the rows of steps
    delete from attempts a where a.shard = p_shard and a.run_id = p_step.run_id and a.ordinal = any (v_gone);
    delete from progress p where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal = any (v_gone);
    delete from steps s where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = any (v_gone);
    delete from history h where h.shard = p_shard and h.run_id = p_step.run_id;
    select r.next_ordinal into strict v_next from runs r where r.shard = p_shard and r.run_id = p_step.run_id;
    -- what was to be undone belongs to what is forgotten
    update runs r set flags = r.flags & ~128 where r.shard = p_shard and r.run_id = p_step.run_id and r.flags & 128 = 128;
    insert into history (run_id, at, number, shard, tenant_id, events)
    values (p_step.run_id, p_now, 0, p_shard, p_step.tenant_id,
            jsonb_build_array(jsonb_build_object('type', 'continued', 'count', p_terms -> 'count', 'first', v_next)));
    update payloads p set payload = v_inputs where p.shard = p_shard and p.run_id = p_step.run_id and p.ordinal in (0, p_step.ordinal);
    v_us := clock_us();
    update steps s
    set state = case when s.flags & 64 = 64 then 'waiting' else 'available' end::step_state, reason = case when s.flags & 64 = 64 then 'paused' end,
        process_id = null, attempt = s.attempt_base, run_at = null, crashes = 0, lone_crashes = null, unmet = 0, flags = (s.flags | 8192 | 4) & ~2,
        payload = case when s.payload is not null then v_inputs end, started_at = coalesce(s.started_at, s.claimed_at), seq = greatest(s.seq + 1, v_us)
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    perform wake(array[p_step.queue]) where p_step.flags & 64 = 0;
end $$;
