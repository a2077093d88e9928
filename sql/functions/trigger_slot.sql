-- What trigger_schedule does, with the revision and inputs of a run after all checks; null for what the schedule says, checked here.
-- Locks: the schedule's row, then the key's row.
create or replace function tributary.trigger_slot(p_name text, p_revision uuid, p_inputs jsonb) returns uuid
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_schedule schedules;
begin
    select s.* into v_schedule from schedules s where s.name = p_name for update;
    if not found then
        raise exception 'there is no schedule named %', quote_literal(p_name) using errcode = 'TR003', hint = '`trib schedule list` shows them';
    end if;
    return start_scheduled(v_schedule, clock(), 'trigger', p_revision, p_inputs);
end $$;
