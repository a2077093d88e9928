-- A handler raised Abort(run=True): what runs in its run is cancelled, the rest skipped, the run has failed.
create or replace function tributary.abort_run(p_shard smallint, p_run_id uuid, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    perform stop_run(p_shard, p_run_id, 'failed', 'skipped', 'aborted', null, p_now);
end $$;
