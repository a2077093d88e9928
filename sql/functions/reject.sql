-- Public. Rejects what a step asks for: the step is discarded, reason rejected. step: STEP, or STEP[KEY] for an item of a fan-out. Returns the
-- step's state. Locks: root run, then the step. Raises TR003 for an unknown run or step, TR004 when the step asks for no answer.
create or replace function tributary.reject(id uuid, step text, reason text default null, sender text default null) returns text
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select answer(id, step, false, null, reason, sender)
$$;
