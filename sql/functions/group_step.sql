-- A process has claimed a step and knows its group now: held, and the attempt goes on; queued, and the step waits, its attempt is not
-- counted and its lease is gone; rejected, and the process finishes it as discarded; lost, where the token no longer stands (LeaseLost).
-- While it waits it leaves its room in the max_parallel of its run to others.
-- Locks: the root run, the step's row, the group's counter. Index: runs_pkey, steps_pkey.
create or replace function tributary.group_step(
    p_shard smallint, p_process bigint, p_run_id uuid, p_ordinal integer, p_seq bigint, p_group text, p_limit integer, p_on_limit text
) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_step record;
    v_state text;
    v_parallel integer;
    v_us bigint;
begin
    -- whoever holds a counter may wait for this row, so nobody with this row alone may wait for the counter
    perform lock_runs(p_shard, array[p_run_id]);
    select r.max_parallel into v_parallel from runs r where r.shard = p_shard and r.run_id = p_run_id;
    select s.tenant_id, s.state, s.seq, s.process_id into v_step
    from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal
    for update;
    if not found or v_step.state <> 'running' or v_step.seq <> p_seq or v_step.process_id <> p_process then
        return 'lost';
    end if;
    v_state := enter_group(p_shard, v_step.tenant_id, p_group, p_limit, p_on_limit, p_run_id, p_ordinal);
    if v_state = 'queued' then
        v_us := clock_us();
        update steps s
        set state = 'waiting', reason = 'group', process_id = null, attempt = s.attempt - 1, started_at = null,
            seq = greatest(s.seq + 1, v_us)
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal;
        if v_parallel is not null then
            perform wake(fill_run(p_shard, p_run_id, v_parallel, clock()));
        end if;
    end if;
    return v_state;
end $$;
