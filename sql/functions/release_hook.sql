-- A hook of a run begins: its steps stop waiting for it. The caller holds the root run's lock.
create or replace function tributary.release_hook(p_shard smallint, p_run_id uuid, p_bit integer, p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_queues text[];
    v_us bigint;
begin
    v_us := clock_us();
    with begun as materialized (
        select s.ctid as tid, row_number() over (order by s.ordinal) as i,
               case when s.flags & 16 = 16 and s.unmet = 1
                    then (select due_at(p.options -> 'run_after', p_now) from payloads p
                          where p.shard = p_shard and p.run_id = s.run_id and p.ordinal = s.ordinal)
                    else s.run_at end as run_at
        from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.state = 'blocked' and s.flags & 7680 = p_bit
    ), released as (
        update steps s
        set unmet = s.unmet - 1, run_at = b.run_at, seq = greatest(s.seq + 1, v_us + b.i),
            state = case when s.unmet > 1 then 'blocked'
                         when s.reason = 'no_handler' or s.flags & 64 = 64 then 'waiting'
                         when b.run_at > p_now then 'scheduled' else 'available' end::step_state,
            reason = case when s.reason is null and s.unmet = 1 and s.flags & 64 = 64 then 'paused' else s.reason end
        from begun b
        where s.ctid = b.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(distinct r.queue) filter (where r.state = 'available') into v_queues from released r;
    perform wake(v_queues);
end $$;
