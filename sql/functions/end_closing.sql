-- The closing step of a run has ended: so has the run, with its result or with the error that kept it from one.
create or replace function tributary.end_closing(p_shard smallint, p_run_id uuid, p_end smallint, p_result text, p_error text, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    update runs r
    set state = case when p_end = 0 then 'completed' else 'failed' end::run_state, finished_at = p_now, phase = 'steps',
        result = case when p_end = 0 then p_result::jsonb end, error = case when p_end <> 0 then p_error::jsonb end,
        reason = case when p_end <> 0 then 'result' end
    where r.shard = p_shard and r.run_id = p_run_id and r.state in ('running', 'paused');
end $$;
