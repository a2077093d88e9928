-- Cancels a member of a group for the sake of a newer one, reason superseded: a run as cancel does it, a step alone, which fails its run.
-- Left for the next time where somebody has the run locked. A holder's slot is free once it has ended, its hooks included.
-- Locks: the root run by SKIP LOCKED, then the step. Index: runs_pkey, steps_pkey.
create or replace function tributary.oust_member(p_shard smallint, p_run_id uuid, p_ordinal integer) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
as $$
declare
    v_run runs;
    v_step steps;
    v_now timestamptz;
begin
    perform from runs root
    where root.shard = p_shard and root.run_id = (select r.root_id from runs r where r.shard = p_shard and r.run_id = p_run_id)
    for update skip locked;
    if not found then
        if not exists (select from runs r where r.shard = p_shard and r.run_id = p_run_id) then
            perform leave_group(p_shard, p_run_id, nullif(p_ordinal, -1));
        end if;
        return;
    end if;
    select * into v_run from runs r where r.shard = p_shard and r.run_id = p_run_id;
    if v_run.state in ('running', 'paused') and p_ordinal < 0 then
        perform cancel(p_run_id, 'superseded');
        if exists (select from runs r where r.shard = p_shard and r.run_id = p_run_id and r.state = 'running')
                and exists (select from group_slots s
                            where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = -1 and s.state = 'held') then
            -- its hooks are at work
            return;
        end if;
    elsif v_run.state in ('running', 'paused') then
        select * into v_step from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal for update;
        if v_step.finished_at is null and v_step.run_id is not null then
            v_now := clock();
            perform end_rows(p_shard, p_run_id, array[p_ordinal], 'cancelled', 'superseded', v_now);
            insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
            values (p_run_id, v_now, p_ordinal, v_step.attempt, p_shard, v_step.tenant_id, 'step_cancelled', '{"reason": "superseded"}');
            perform settle_steps(p_shard, array[p_run_id], array[p_ordinal], array[2::smallint], v_now, '{}', '{}', 0,
                                 null, null, null, null, null, null);
        end if;
    end if;
    perform leave_group(p_shard, p_run_id, nullif(p_ordinal, -1));
end $$;
