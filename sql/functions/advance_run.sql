-- Nothing of a run's present phase remains: its closing step evaluates `result`, then it undoes what it has done if it went badly, then its hooks
-- come in their order, then it ends, and with it the step that has started it. For runs that have hooks, undo, a parent, or were stopped; count_runs ends all others by itself.
-- The caller holds the root run's lock.
create or replace function tributary.advance_run(
    p_shard smallint, p_run_id uuid, p_now timestamptz, p_queues text[], p_names text[], p_free integer
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
as $$
declare
    v_run runs;
    v_hook text;
    v_count integer;
begin
    select * into v_run from runs r where r.shard = p_shard and r.run_id = p_run_id;
    -- whoever was advanced before it in the same statement may have ended it, or begun its hooks
    if v_run.state not in ('running', 'paused') or v_run.remaining > 0 then
        return;
    end if;
    if v_run.phase = 'steps' and v_run.ending is null and v_run.failed = 0 and v_run.closing_ordinal is not null then
        update runs r set phase = 'closing' where r.shard = p_shard and r.run_id = p_run_id;
        perform release_closing(p_shard, array[p_run_id], array[v_run.closing_ordinal], array[v_run.state], p_now, p_queues, p_free);
        return;
    end if;
    v_run.ending := coalesce(v_run.ending, case when v_run.failed > 0 then 'failed' else 'completed' end::run_state);
    if v_run.phase in ('steps', 'closing') and v_run.ending <> 'completed' and v_run.flags & 128 = 128 then
        v_count := begin_undo(p_shard, v_run, p_now);
        if v_count > 0 then
            update runs r set phase = 'undo', ending = v_run.ending, remaining = v_count where r.shard = p_shard and r.run_id = p_run_id;
            return;
        end if;
    end if;
    if v_run.phase in ('steps', 'closing', 'undo') then
        v_hook := case v_run.ending when 'completed' then 'on_success' when 'failed' then 'on_failure' else 'on_cancel' end;
        if v_run.flags & (hook_bits(v_hook) / 256) = 0 then
            v_hook := null;
        end if;
    end if;
    if v_hook is null and v_run.phase <> 'finally' and v_run.flags & 16 = 16 then
        v_hook := 'finally';
    end if;
    if v_hook is not null then
        select count(*) into v_count from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.flags & 7680 = hook_bits(v_hook) and s.kind = 'step' and s.flags & 256 = 0;
        update runs r set phase = v_hook, ending = v_run.ending, remaining = v_count where r.shard = p_shard and r.run_id = p_run_id;
        perform release_hook(p_shard, p_run_id, hook_bits(v_hook), p_now);
        return;
    end if;

    update steps s
    set state = 'skipped', reason = case when s.kind = 'closing' then 'upstream' else 'hook' end, finished_at = p_now
    where s.shard = p_shard and s.run_id = p_run_id and s.state = 'blocked';
    if v_run.parent_run_id is not null and v_run.ending = 'completed' and v_run.closing_ordinal is null then
        v_run.result := leaf_results(p_shard, p_run_id);
    end if;
    update runs r
    set state = v_run.ending, ending = null, phase = 'steps', finished_at = p_now, deadline = null, remaining = 0, result = v_run.result
    where r.shard = p_shard and r.run_id = p_run_id
    returning * into v_run;
    perform tell_waiters(p_shard, array[p_run_id]);
    if v_run.flags & 64 = 64 then
        perform leave_group(p_shard, p_run_id, null);
    end if;
    if v_run.parent_run_id is not null then
        perform end_child(p_shard, v_run, p_now, p_queues, p_names, p_free);
    end if;
end $$;
