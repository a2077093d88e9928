-- Ends whatever of a run has not ended: running attempts are cancelled and their processes told, the rest gets p_state.
-- The caller holds the root run's lock; returns how many steps ended.
create or replace function tributary.end_rest(p_shard smallint, p_run_id uuid, p_state step_state, p_reason text, p_now timestamptz) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_tids tid[];
    v_count integer;
begin
    v_tids := array(
        select s.ctid from steps s
        where s.shard = p_shard and s.run_id = p_run_id
          and s.state in ('blocked', 'scheduled', 'available', 'waiting', 'running')
        for update);
    insert into attempts (run_id, seq, process_id, claimed_at, started_at, finished_at, ordinal, shard, attempt, tenant_id, outcome, worker, error)
    select s.run_id, s.seq, s.process_id, s.claimed_at, s.started_at, p_now, s.ordinal, p_shard, s.attempt, s.tenant_id, 'cancelled', p.name,
           jsonb_build_object('type', 'Cancelled', 'message', coalesce(p_reason, 'cancelled'), 'attempt', s.attempt, 'reason', 'cancelled')
    from steps s left join processes p on p.process_id = s.process_id
    where s.ctid = any (v_tids) and s.shard = p_shard and s.state = 'running';
    perform pg_notify('tributary_cancel', s.process_id::text)
    from steps s where s.ctid = any (v_tids) and s.shard = p_shard and s.state = 'running';
    update steps s
    set state = case when s.state = 'running' then 'cancelled' else p_state end, process_id = null, finished_at = p_now,
        started_at = coalesce(s.started_at, case when s.state = 'running' then s.claimed_at end), reason = p_reason
    where s.ctid = any (v_tids) and s.shard = p_shard;
    get diagnostics v_count = row_count;
    return v_count;
end $$;
