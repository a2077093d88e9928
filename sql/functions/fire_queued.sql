-- The first slot of a schedule that waits for earlier work, if nothing stands before it any more. Null: nothing to do here.
-- Locks: the schedule's row (skipped when held), then the key's row.
create or replace function tributary.fire_queued(p_name text, p_version integer, p_revision uuid, p_inputs jsonb)
returns table (slot timestamptz, run_id uuid)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_schedule schedules;
    v_cause text;
begin
    select s.* into v_schedule from schedules s
    where s.name = p_name and s.version = p_version and s.state = 'active' and s.queued > 0
    for update skip locked;
    if not found or (v_schedule.overlap <> 'allow' and schedule_works(p_name)) then
        return;
    end if;
    select f.slot, f.cause into slot, v_cause
    from schedule_fires f where f.schedule = p_name and f.outcome = 'queued' order by f.slot limit 1;
    if found then
        run_id := start_scheduled(v_schedule, slot, v_cause, p_revision, p_inputs);
        update schedules s set queued = s.queued - 1 where s.name = p_name;
        return next;
    else
        update schedules s set queued = 0 where s.name = p_name;
    end if;
end $$;
