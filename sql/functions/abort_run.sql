-- A handler raised Abort(run=True): what runs in its run is cancelled, the rest skipped, the run has failed. p_hooked: it was a hook that
-- raised it, so that hooks end, too. Those that begin because of this very attempt are to run. The caller holds the root run's lock.
create or replace function tributary.abort_run(p_shard smallint, p_run_id uuid, p_hooked boolean, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_ending run_state := (select r.ending from runs r where r.shard = p_shard and r.run_id = p_run_id);
begin
    if v_ending is not null and not p_hooked then
        update runs r set reason = 'aborted' where r.shard = p_shard and r.run_id = p_run_id and v_ending = 'failed';
        return;
    elsif v_ending is null and p_hooked then
        return;  -- that hook was the last one
    end if;
    perform stop_run(p_shard, p_run_id, 'failed', 'skipped', 'aborted', null, p_now);
end $$;
