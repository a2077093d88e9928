-- Public. Approves what a step asks for, and gives what its form asks for; the step completes with {approved, by, at, answer}. step: STEP, or
-- STEP[KEY] for an item of a fan-out. Returns the step's state. Locks: root run, then the step.
-- Raises TR001 when the form refuses the answer, TR003 for an unknown run or step, TR004 when the step asks for no answer.
create or replace function tributary.approve(id uuid, step text, answer jsonb default null, sender text default null) returns text
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select answer(id, step, true, answer, null, sender)
$$;
