-- Sets the next slot of a schedule; with p_missed it records so many slots up to p_until that came while nobody was there. False when the
-- schedule has changed, or is held. Fenced by the version and the slot that stood there.
create or replace function tributary.plan_schedule(
    p_name text, p_version integer, p_slot timestamptz, p_next_slot timestamptz, p_next_at timestamptz, p_missed integer, p_until timestamptz
) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    perform from schedules s
    where s.name = p_name and s.version = p_version and s.state = 'active' and s.next_slot is not distinct from p_slot
    for update skip locked;
    if not found then
        return false;
    end if;
    update schedules s set next_slot = p_next_slot, next_at = p_next_at, missed = s.missed + p_missed where s.name = p_name;
    if p_missed > 0 then
        insert into schedule_fires (schedule, slot, until, at, missed, outcome)
        values (p_name, p_slot, p_until, clock(), p_missed, 'missed')
        on conflict (schedule, slot, missed) do nothing;
    end if;
    return true;
end $$;
