-- Public. Nothing is started by a schedule until it is resumed; returns the state it was in.
create or replace function tributary.pause_schedule(name text) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_before text;
begin
    select s.state into v_before from schedules s where s.name = pause_schedule.name for update;
    if not found then
        raise exception 'there is no schedule named %', quote_literal(pause_schedule.name) using errcode = 'TR003', hint = '`trib schedule list` shows them';
    end if;
    update schedules s set state = 'paused', error = null, version = s.version + 1, updated_at = clock()
    where s.name = pause_schedule.name and s.state <> 'paused';
    return v_before;
end $$;
