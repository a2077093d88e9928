-- Public. Removes a schedule with the record of its slots; what it has started goes on. False when there is none of that name.
create or replace function tributary.unschedule(name text) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    delete from schedules s where s.name = unschedule.name;
    return found;
end $$;
