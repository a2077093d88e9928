-- Resets these steps of a run (or ordinal 0 of an intent) for an explicit retry: fresh attempts, no result, dead letters gone.
-- Steps that need another one of them are blocked until it has ended again. What completed begins anew, without what it had noted as its
-- progress; what did not goes on from there. The caller holds the root run's lock.
create or replace function tributary.start_over(p_shard smallint, p_run_id uuid, p_ordinals integer[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_queues text[];
    v_us bigint;
begin
    delete from progress p using steps s
    where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (p_ordinals)
      and s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p.ordinal and s.state = 'completed' and s.name <> 'trib.fan.v1';
    perform undecide_steps(p_shard, p_run_id, p_ordinals);
    v_us := clock_us();
    with counted as materialized (
        select s.ordinal, row_number() over (order by s.ordinal) as i,
               (select count(*)::integer from edges e
                where e.shard = p_shard and e.run_id = p_run_id and e.child = s.ordinal and e.parent = any (p_ordinals)) as unmet,
               exists (select from registry r where r.name = s.name and r.offered_at is not null)
                   or is_control(s.name) as known
        from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (p_ordinals)
    ), again as (
        update steps s
        set state = case when c.unmet > 0 and s.flags & 8192 = 8192 then 'waiting' when c.unmet > 0 then 'blocked'
                         when not c.known or s.flags & 128 = 128 then 'waiting' else 'available' end::step_state,
            unmet = c.unmet, flags = s.flags & ~(2 | 64), attempt_base = s.attempt, crashes = 0, lone_crashes = null, result = null,
            reason = case when not c.known then 'no_handler' when c.unmet > 0 and s.flags & 8192 = 8192 then case s.name when 'trib.fan.v1' then 'items' else 'steps' end
                          when c.unmet = 0 and s.flags & 128 = 128 then 'parallel' end,
            run_at = null, expires_at = null, claimed_at = null, started_at = null, finished_at = null, process_id = null,
            seq = greatest(s.seq + 1, v_us + c.i)
        from counted c
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = c.ordinal
        returning s.queue, s.state, s.ordinal, s.attempt, s.tenant_id
    ), noted as (
        insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type)
        select p_run_id, clock(), a.ordinal, a.attempt, p_shard, a.tenant_id, 'step_requeued' from again a
    )
    select array_agg(distinct a.queue) filter (where a.state = 'available') into v_queues from again a;
    update progress p set details = p.details || '{"failed": 0}'
    from steps s
    where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (p_ordinals)
      and s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p.ordinal and s.name = 'trib.fan.v1';
    delete from dead_letters d where d.shard = p_shard and d.run_id = p_run_id and d.ordinal = any (p_ordinals);
    perform wake(v_queues);
end $$;
