-- A child run has ended: so has the attempt of the step that started it, with its result or its failure. A cancelled child fails the step
-- for good. A result that is to be kept is kept by whoever claims the step once more, which completes it then: SQL reaches no store of the
-- step cache but one, and has no keys. Nothing happens when the step waits no more. The caller holds the root run's lock.
create or replace function tributary.end_child(
    p_shard smallint, p_child runs, p_now timestamptz, p_queues text[], p_names text[], p_free integer
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
as $$
declare
    v_step steps;
    v_tid tid;
    v_error jsonb;
    v_ends smallint[] := array[0];
    v_us bigint;
begin
    select s.* into v_step from steps s
    where s.shard = p_shard and s.run_id = p_child.parent_run_id and s.ordinal = p_child.parent_ordinal for update;
    if v_step.reason is distinct from 'child' or v_step.state <> 'waiting'
            -- it was given up, and has only now come to the end of its hooks: the step began anew and waits for another one
            or (p_child.created_at < v_step.claimed_at
                and exists (select from runs r
                            where r.shard = p_shard and r.parent_run_id = p_child.parent_run_id and r.parent_ordinal = p_child.parent_ordinal
                              and r.created_at > p_child.created_at and r.finished_at is null)) then
        return;
    end if;
    select s.ctid into v_tid from steps s where s.shard = p_shard and s.run_id = v_step.run_id and s.ordinal = v_step.ordinal;
    if p_child.state = 'completed' and p_child.flags & 256 = 256 then
        v_us := clock_us();
        update steps s
        set state = case when s.flags & 64 = 64 then 'waiting' else 'available' end::step_state,
            reason = case when s.flags & 64 = 64 then 'paused' end,
            flags = s.flags | 8192, attempt = s.attempt - 1, seq = greatest(s.seq + 1, v_us)
        where s.ctid = v_tid and s.shard = p_shard;
        perform leave_group(p_shard, v_step.run_id, v_step.ordinal);
        if v_step.flags & 64 = 0 then
            perform wake(array[v_step.queue]);
        end if;
        return;
    elsif p_child.state = 'completed' then
        update steps s set state = 'completed', reason = null, finished_at = p_now, result = p_child.result where s.ctid = v_tid and s.shard = p_shard;
    else
        v_error := jsonb_build_object(
            'type', 'ChildRun' || initcap(p_child.state::text),
            'message', format('run %s of %s %s%s', p_child.run_id, p_child.name,
                              case p_child.state when 'failed' then 'failed' else 'was cancelled' end,
                              coalesce(': ' || coalesce(p_child.error ->> 'message', first_error(p_shard, p_child.run_id)), '')),
            'reason', 'child_' || p_child.state::text);
        v_ends := finish_mixed(p_shard, array[v_tid], array[case p_child.state when 'failed' then 'retry' else 'discarded' end], array[null::text],
                               array[v_error::text], array[null::float8], array[null::float8], p_now);
    end if;
    -- its slot was kept for the child
    perform leave_group(p_shard, v_step.run_id, v_step.ordinal);
    perform settle_ended(p_shard, array[v_step.run_id], array[v_step.ordinal], array[v_step.kind], v_ends, array[null::text], array[v_error::text],
                         p_now, p_queues, p_names, p_free, null, null, null, null, null, null);
end $$;
