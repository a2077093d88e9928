-- Whether a step has ended so that what needs it cannot run: cancelled, discarded without being tolerated, or skipped for another's sake.
-- Who aborted the run is not tolerated, whatever its own option says.
create or replace function tributary.ended_badly(p_state tributary.step_state, p_flags smallint, p_reason text) returns boolean
language sql immutable parallel safe
as $$
    select p_state = 'cancelled'
        or (p_state = 'discarded' and (p_flags & 1 = 0 or p_reason = 'aborted'))
        or (p_state = 'skipped' and p_reason <> 'condition')
$$;
