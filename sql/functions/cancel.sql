-- Public. Cancels a run or an intent in any state that is not final; what runs learns of it at once. Returns the state it was in.
-- A run's child runs are cancelled with it; its hooks on_cancel and finally run first, a second cancel ends them, too.
-- Locks: root run, then steps. Raises TR003 for an unknown id, TR004 when it has ended.
create or replace function tributary.cancel(id uuid, reason text default null) returns text
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_step steps;
    v_now timestamptz;
begin
    perform check_sight(id);
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if found then
        if v_run.state not in ('running', 'paused') then
            raise exception 'run % has ended: it is %', id, v_run.state using errcode = 'TR004', hint = 'there is nothing left to cancel';
        end if;
        v_now := clock();
        perform cancel_run(v_shard, id, reason, v_now);
        return v_run.state::text;
    else
        select * into v_step from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = 0 and s.kind = 'intent' for update;
        if not found then
            raise exception 'no run or intent has the id %', id using errcode = 'TR003', hint = 'list them: trib list';
        elsif v_step.finished_at is not null then
            raise exception 'intent % has ended: it is %', id, v_step.state using errcode = 'TR004', hint = 'there is nothing left to cancel';
        end if;
        v_now := clock();
        perform end_rows(v_shard, id, array[0], 'cancelled', coalesce(reason, 'cancelled'), v_now);
        perform tell_waiters(v_shard, array[id]);
    end if;
    insert into event_log (run_id, at, ordinal, shard, tenant_id, type, data)
    values (id, v_now, 0, v_shard, v_step.tenant_id, 'step_cancelled', jsonb_strip_nulls(jsonb_build_object('reason', cancel.reason)));
    return v_step.state::text;
end $$;
