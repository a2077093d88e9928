-- One slot of a backfill: starts its work, or has it wait for its turn where runs of the schedule must not overlap. Returns fired, queued, or
-- known with the work of a slot that was fired before.
-- Locks: the schedule's row, then the key's row.
create or replace function tributary.backfill_slot(p_name text, p_slot timestamptz, p_revision uuid, p_inputs jsonb)
returns table (outcome text, run_id uuid)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_schedule schedules;
    v_outcome text;
begin
    select s.* into v_schedule from schedules s where s.name = p_name for update;
    if not found then
        raise exception 'there is no schedule named %', quote_literal(p_name) using errcode = 'TR003', hint = '`trib schedule list` shows them';
    end if;
    select f.outcome, f.run_id into v_outcome, run_id
    from schedule_fires f where f.schedule = p_name and f.slot = p_slot and f.missed = 0;
    if v_outcome in ('fired', 'queued') then
        outcome := case v_outcome when 'fired' then 'known' else v_outcome end;
    elsif v_schedule.overlap = 'allow' then
        outcome := 'fired';
        run_id := start_scheduled(v_schedule, p_slot, 'backfill', p_revision, p_inputs);
    else
        outcome := 'queued';
        insert into schedule_fires as f (schedule, slot, at, cause, outcome)
        values (p_name, p_slot, clock(), 'backfill', 'queued')
        on conflict (schedule, slot, missed) do update set at = excluded.at, cause = 'backfill', outcome = 'queued';
        update schedules s set queued = s.queued + 1 where s.name = p_name;
    end if;
    return next;
end $$;
