-- Public. Puts a run that failed or was cancelled back to work: failed and cancelled steps run again with fresh attempts, what was
-- skipped because of them is blocked again, finished steps keep their results. from_steps: these and all that depends on them, whatever
-- their state. An intent that was discarded or cancelled runs again. Returns the new state. Raises TR003 unknown, TR004 not possible.
create or replace function tributary.retry(id uuid, from_steps text[] default null) returns text
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select tributary.check_sight(id);
    select tributary.retry_work(id, from_steps, null)
$$;
