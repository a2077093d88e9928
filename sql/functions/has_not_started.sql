-- Whether no step of a run at work has ever been started; its steps are locked, so that none is as long as the caller's transaction goes on.
-- What was claimed and given back had not started; what has put itself off, expanded or become a child run had, though its attempt is not counted.
-- Locks: the run, then its steps.
create or replace function tributary.has_not_started(p_run_id uuid) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_shard smallint := shard_of(p_run_id);
begin
    perform lock_runs(v_shard, array[p_run_id]);
    if not exists (select from runs r where r.shard = v_shard and r.run_id = p_run_id and r.state in ('running', 'paused')) then
        return false;
    end if;
    perform from steps s where s.shard = v_shard and s.run_id = p_run_id order by s.ordinal for update;
    return not exists (select from steps s where s.shard = v_shard and s.run_id = p_run_id
                       and (s.attempt > s.attempt_base or s.finished_at is not null or s.started_at is not null
                            or (s.reason in ('snoozed', 'paused') and s.claimed_at is not null)));
end $$;
