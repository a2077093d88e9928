-- Cancels a run that has not ended, with its child runs; its hooks on_cancel and finally begin, and a second cancel ends them, too.
-- The caller holds the root run's lock.
create or replace function tributary.cancel_run(p_shard smallint, p_run_id uuid, p_reason text, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    perform stop_run(p_shard, p_run_id, 'cancelled', 'cancelled', coalesce(p_reason, 'cancelled'), null, p_now);
    insert into event_log (run_id, at, shard, tenant_id, type, data)
    select p_run_id, p_now, p_shard, r.tenant_id, 'run_cancelled', jsonb_strip_nulls(jsonb_build_object('reason', p_reason))
    from runs r where r.shard = p_shard and r.run_id = p_run_id;
end $$;
