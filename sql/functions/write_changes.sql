-- Writes what change_steps has decided, on rows that it has locked; returns the queues in which something can be claimed now. p_all: of a
-- whole run, so the time is for steps without needs only. By ctid alone, see complete_steps.
create or replace function tributary.write_changes(
    p_shard smallint, p_tids tid[], p_all boolean, p_priority smallint, p_queue text, p_run_at timestamptz, p_literal boolean, p_now timestamptz
) returns text[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
set jit to off
as $$
declare
    -- what becomes of rows whose time is changed
    v_state step_state := case when p_run_at > p_now then 'scheduled' else 'available' end;
    v_queues text[];
    v_us bigint;
begin
    v_us := clock_us();
    with written as (
        update steps s
        set priority = coalesce(p_priority, s.priority),
            queue = case when s.queue ~ '^[~@]' then s.queue else coalesce(p_queue, s.queue) end,
            run_at = case when p_all and s.unmet > 0 then s.run_at else coalesce(p_run_at, s.run_at) end,
            state = case when p_run_at is distinct from s.run_at and p_run_at is not null and s.state in ('scheduled', 'available')
                         then v_state else s.state end,
            payload = case when not p_literal then s.payload end,
            -- the payload is taken as it is, the time stands whenever the needs end
            flags = s.flags & ~(case when p_literal then 8 else 0 end
                                | case when p_run_at is not null and not (p_all and s.unmet > 0) then 16 else 0 end),
            seq = case when s.state = 'available' and coalesce(p_priority, s.priority) = s.priority and coalesce(p_queue, s.queue) = s.queue
                       then s.seq else greatest(s.seq + 1, v_us + s.ordinal) end
        where s.ctid = any (p_tids) and s.shard = p_shard
        returning s.state, s.queue
    )
    select array_agg(distinct w.queue) filter (where w.state = 'available') into v_queues from written w;
    return v_queues;
end $$;
