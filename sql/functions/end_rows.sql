-- Ends these steps of a run that have not ended: running attempts are cancelled and their processes told, child runs are cancelled, the
-- rest gets p_state. The caller holds the root run's lock, and settles what depends on them.
create or replace function tributary.end_rows(
    p_shard smallint, p_run_id uuid, p_ordinals integer[], p_state step_state, p_reason text, p_now timestamptz
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_tids tid[];
    v_children uuid[];
    v_parents integer[];
begin
    v_tids := array(
        select s.ctid from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (p_ordinals)
        for update);
    insert into attempts (run_id, seq, process_id, claimed_at, started_at, finished_at, ordinal, shard, attempt, tenant_id, outcome, worker, error)
    select s.run_id, s.seq, s.process_id, s.claimed_at, s.started_at, p_now, s.ordinal, p_shard, s.attempt, s.tenant_id, 'cancelled', p.name,
           jsonb_build_object('type', 'Cancelled', 'message', coalesce(p_reason, 'cancelled'), 'attempt', s.attempt, 'reason', 'cancelled')
    from steps s left join processes p on p.process_id = s.process_id
    where s.ctid = any (v_tids) and s.shard = p_shard and s.state = 'running';
    perform pg_notify('tributary_cancel', s.process_id::text)
    from steps s where s.ctid = any (v_tids) and s.shard = p_shard and s.state = 'running';
    v_parents := array(select s.ordinal from steps s where s.ctid = any (v_tids) and s.shard = p_shard and s.reason = 'child');
    v_children := array(
        select r.run_id
        from steps s
        join runs r on r.shard = p_shard and r.parent_run_id = p_run_id and r.parent_ordinal = s.ordinal
        where s.ctid = any (v_tids) and s.shard = p_shard and s.reason = 'child' and r.finished_at is null
          -- one whose hooks are at work has come to its end already: they are to run, unless they would wait for a resume that nobody calls
          and (r.ending is null or r.state = 'paused')
        order by r.run_id);
    update steps s
    set state = case when s.state = 'running' then 'cancelled' else p_state end, process_id = null, finished_at = p_now,
        started_at = coalesce(s.started_at, case when s.state = 'running' then s.claimed_at end), reason = p_reason
    where s.ctid = any (v_tids) and s.shard = p_shard;
    delete from waits w where w.shard = p_shard and w.run_id = p_run_id and w.ordinal = any (p_ordinals);
    -- now that nothing waits for them: their ends would fail their steps
    perform cancel_run(p_shard, c.run_id, p_reason, p_now) from unnest(v_children) as c(run_id);
    -- no process holds them, so none gives their slots back
    perform leave_group(p_shard, p_run_id, u.ordinal) from unnest(v_parents) as u(ordinal);
end $$;
