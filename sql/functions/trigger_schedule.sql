-- Public. Starts what a schedule is for now, outside its slots and whatever runs; returns the id. Paused and disabled schedules can be triggered.
-- Locks: the schedule's row.
create or replace function tributary.trigger_schedule(name text) returns uuid
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_schedule schedules;
begin
    select s.* into v_schedule from schedules s where s.name = trigger_schedule.name for update;
    if not found then
        raise exception 'there is no schedule named %', quote_literal(trigger_schedule.name) using errcode = 'TR003', hint = '`trib schedule list` shows them';
    end if;
    return start_scheduled(v_schedule, clock(), 'trigger', null, null);
end $$;
