-- Starts what a schedule is for, for one slot, and records that; the slot's idempotency key gives the work that exists already. The caller
-- holds the lock on the schedule's row. p_inputs: those of a run after all checks; null for what the schedule says, checked here.
create or replace function tributary.start_scheduled(
    p_schedule schedules, p_slot timestamptz, p_cause text, p_revision uuid, p_inputs jsonb
) returns uuid
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_key text := 'schedule:' || (p_schedule).name || ':' || to_char(p_slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
    v_revision uuid := p_revision;
    v_id uuid;
begin
    if (p_schedule).kind = 'intent' then
        select r.run_id into v_id
        from submit_row((p_schedule).target, (p_schedule).payload, v_key, (p_schedule).options, null, p_slot,
                        (p_schedule).tenant_id, null, null) as r;
    else
        if v_revision is null then
            select w.revision_id into v_revision from workflows w where w.name = (p_schedule).target;
            if not found then
                raise exception 'no workflow named % is registered', quote_literal((p_schedule).target)
                    using errcode = 'TR003', hint = 'register it once: trib register FILE';
            end if;
        end if;
        select r.run_id into v_id
        from submit_run(v_revision, (p_schedule).target, coalesce(p_inputs, check_inputs(v_revision, (p_schedule).payload)), v_key,
                        (p_schedule).options, null, p_slot, (p_schedule).labels || jsonb_build_object('schedule', (p_schedule).name),
                        (p_schedule).tenant_id, null, null, null) as r;
        -- whatever else this transaction records has a group of its own
        perform set_config('tributary.group', '', true);
    end if;
    insert into schedule_fires as f (schedule, slot, at, run_id, unfinished, cause, outcome)
    values ((p_schedule).name, p_slot, clock(), v_id, true, p_cause, 'fired')
    on conflict (schedule, slot, missed) do update
    set at = excluded.at, run_id = excluded.run_id, unfinished = true, outcome = 'fired';
    update schedules s
    set fired = s.fired + 1, last_run_id = v_id,
        last_slot = case when p_cause = 'slot' then greatest(s.last_slot, p_slot) else s.last_slot end
    where s.name = (p_schedule).name;
    return v_id;
end $$;
