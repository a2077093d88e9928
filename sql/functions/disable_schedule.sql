-- Takes a schedule that cannot work out of the way, with the reason; false when it has changed meanwhile.
create or replace function tributary.disable_schedule(p_name text, p_version integer, p_error text) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    update schedules s set state = 'disabled', error = left(p_error, 2000), updated_at = clock()
    where s.name = p_name and s.version = p_version and s.state = 'active';
    return found;
end $$;
