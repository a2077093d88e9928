-- The closing step of a run has ended: so has the run, with its result or with the error that kept it from one; or its hooks begin.
-- The caller holds the root run's lock.
create or replace function tributary.end_closing(
    p_shard smallint, p_run_id uuid, p_end smallint, p_result text, p_error text, p_now timestamptz, p_queues text[], p_names text[], p_free integer
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_special boolean;
begin
    update runs r
    set state = case when s.special then r.state when p_end = 0 then 'completed' else 'failed' end::run_state,
        ending = case when s.special then case when p_end = 0 then 'completed' else 'failed' end::run_state end,
        finished_at = case when not s.special then p_now end, phase = case when s.special then r.phase else 'steps' end,
        deadline = case when s.special then r.deadline end,
        result = case when p_end = 0 then p_result::jsonb end, error = case when p_end <> 0 then p_error::jsonb end,
        reason = case when p_end <> 0 then 'result' end
    from (select k.flags <> 0 or k.parent_run_id is not null as special from runs k where k.shard = p_shard and k.run_id = p_run_id) as s
    where r.shard = p_shard and r.run_id = p_run_id and r.state in ('running', 'paused')
    returning s.special into v_special;
    if v_special then
        perform advance_run(p_shard, p_run_id, p_now, p_queues, p_names, p_free);
    else
        perform tell_waiters(p_shard, array[p_run_id]);
    end if;
end $$;
