-- A handler raised Abort(run=True): what runs in its run is cancelled, the rest skipped, the run has failed.
create or replace function tributary.abort_run(p_shard smallint, p_run_id uuid, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    perform end_rest(p_shard, p_run_id, 'skipped', 'aborted', p_now);
    update runs r set state = 'failed', remaining = 0, finished_at = p_now, reason = 'aborted', phase = 'steps', failed = greatest(r.failed, 1)
    where r.shard = p_shard and r.run_id = p_run_id and (r.state in ('running', 'paused') or r.finished_at = p_now);
end $$;
