-- Stops a run early, with what it has come to (failed, cancelled): what has not ended ends as p_state, then its hooks begin, if it has any.
-- A run whose hooks are at work already is ended as a whole. The caller holds the root run's lock.
create or replace function tributary.stop_run(
    p_shard smallint, p_run_id uuid, p_ending run_state, p_state step_state, p_reason text, p_error jsonb, p_now timestamptz
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
as $$
declare
    v_run runs;
begin
    select * into v_run from runs r where r.shard = p_shard and r.run_id = p_run_id;
    if v_run.state not in ('running', 'paused') and v_run.finished_at is distinct from p_now then
        return;
    end if;
    perform end_steps(p_shard, p_run_id, p_state, p_reason, p_now, v_run.ending is not null or v_run.flags & 30 = 0);
    if v_run.state = 'paused' then
        -- its hooks are not to wait for anybody
        update steps s set flags = s.flags & ~64 where s.shard = p_shard and s.run_id = p_run_id and s.finished_at is null;
    end if;
    update runs r
    set remaining = 0, ending = p_ending, reason = p_reason, error = coalesce(p_error, r.error), finished_at = null,
        state = 'running', failed = greatest(r.failed, (p_ending = 'failed')::integer),
        phase = case when v_run.ending is not null then 'finally' else 'steps' end
    where r.shard = p_shard and r.run_id = p_run_id;
    perform advance_run(p_shard, p_run_id, p_now, '{}', '{}', 0);
end $$;
