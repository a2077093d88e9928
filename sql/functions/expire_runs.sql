-- Runs whose timeout has passed have failed: what runs of them is cancelled, then their hooks begin. Bounded; returns how many.
-- Each is looked at again under its lock. Locks: root run, then steps. Index: runs_deadline.
create or replace function tributary.expire_runs(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
as $$
declare
    v_now timestamptz := clock();
    v_id uuid;
    v_run runs;
    v_count integer := 0;
begin
    for v_id in select r.run_id from runs r where r.shard = p_shard and r.deadline <= v_now order by r.root_id limit p_limit loop
        perform lock_runs(p_shard, array[v_id]);
        select * into v_run from runs r where r.shard = p_shard and r.run_id = v_id;
        continue when v_run.deadline is null or v_run.deadline > v_now;
        -- its hooks have no deadline
        update runs r set deadline = null where r.shard = p_shard and r.run_id = v_id;
        if v_run.finished_at is null and v_run.ending is null then
            v_count := v_count + 1;
            perform stop_run(p_shard, v_id, 'failed', 'cancelled', 'timeout',
                             jsonb_build_object('type', 'RunTimeout', 'reason', 'timeout', 'message',
                                                format('the run had not ended after its timeout of %s s',
                                                       (select trim_scale(round((v.plan ->> 'timeout')::numeric, 3))
                                                        from revisions v where v.revision_id = v_run.revision_id))),
                             clock());
            insert into event_log (run_id, at, shard, tenant_id, type) values (v_id, clock(), p_shard, v_run.tenant_id, 'run_timed_out');
        end if;
    end loop;
    return v_count;
end $$;
