-- Public. Runs these steps of a run that has ended once more, and below them only what failed or was skipped because of them; what
-- completed keeps its result. STEP[KEY] is one item of a fan-out, whose results are gathered anew. Returns the new state.
-- Raises TR003 unknown, TR004 not possible.
create or replace function tributary.retry_only(id uuid, steps text[]) returns text
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select tributary.check_sight(id);
    select tributary.retry_work(id, null, steps)
$$;
