-- Public. Lets a paused or disabled schedule go on; returns the state it was in. Slots that came meanwhile are left out, unless catch_up:
-- then they count as those of an outage do, and the schedule's catchup says how many are made up for.
create or replace function tributary.resume_schedule(name text, catch_up boolean default false) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_before text;
begin
    select s.state into v_before from schedules s where s.name = resume_schedule.name for update;
    if not found then
        raise exception 'there is no schedule named %', quote_literal(resume_schedule.name) using errcode = 'TR003', hint = '`trib schedule list` shows them';
    end if;
    update schedules s
    set state = 'active', error = null, version = s.version + 1, updated_at = clock(),
        since = case when catch_up then s.since else clock() end,
        next_slot = case when catch_up then s.next_slot end,
        next_at = case when catch_up then s.next_at else clock() end
    where s.name = resume_schedule.name and s.state <> 'active';
    return v_before;
end $$;
