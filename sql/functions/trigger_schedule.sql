-- Public. Starts what a schedule is for now, outside its slots and whatever runs; returns the id. Paused and disabled schedules can be triggered.
-- Locks: the schedule's row.
create or replace function tributary.trigger_schedule(name text) returns uuid
language sql volatile
as $$
    select tributary.trigger_slot(name, null, null)
$$;
