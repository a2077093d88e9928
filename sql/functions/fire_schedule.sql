-- One slot of a schedule, exactly once: starts its work, or records that it is skipped or waits, and moves on to the next slot, in one
-- transaction. Null when it is not due here any more: somebody else fired it, holds it, or changed the schedule. p_late: the slot comes while
-- several are due, after an outage; then it waits for earlier work instead of being skipped.
-- Returns fired, skipped, queued, or full (too many wait; nothing was written).
-- Locks: the schedule's row (skipped when held), then the key's row.
create or replace function tributary.fire_schedule(
    p_name text, p_version integer, p_slot timestamptz, p_late boolean, p_revision uuid, p_inputs jsonb,
    p_next_slot timestamptz, p_next_at timestamptz
) returns table (outcome text, run_id uuid)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_schedule schedules;
    v_busy boolean := false;
begin
    select s.* into v_schedule from schedules s
    where s.name = p_name and s.version = p_version and s.state = 'active' and s.next_slot = p_slot and s.next_at <= clock()
    for update skip locked;
    if not found then
        return;
    end if;
    if v_schedule.overlap <> 'allow' then
        v_busy := v_schedule.queued > 0 or schedule_works(p_name);
    end if;
    if not v_busy then
        outcome := 'fired';
        run_id := start_scheduled(v_schedule, p_slot, 'slot', p_revision, p_inputs);
    else
        outcome := case when v_schedule.overlap = 'queue' or p_late then 'queued' else 'skipped' end;
        if outcome = 'queued' and v_schedule.queued >= 1000 then
            outcome := 'full';
            return next;
            return;
        end if;
        insert into schedule_fires (schedule, slot, at, cause, outcome)
        values (p_name, p_slot, clock(), 'slot', outcome)
        on conflict (schedule, slot, missed) do nothing;
        if found and outcome = 'queued' then
            update schedules s set queued = s.queued + 1 where s.name = p_name;
        end if;
    end if;
    update schedules s set next_slot = p_next_slot, next_at = p_next_at where s.name = p_name;
    if random() < 0.02 then
        perform trim_fires(p_name);
    end if;
    return next;
end $$;
