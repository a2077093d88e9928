-- Makes steps available that wait because their run limits what runs at once, as many as there is room for, in the order of the file.
-- Returns their queues. Of a run that is paused, or waits for the slot of its group, none starts. The caller holds the root run's lock.
-- Index: steps_pkey to count, steps_parallel to find, group_slots_pkey.
create or replace function tributary.fill_run(p_shard smallint, p_run_id uuid, p_most integer, p_now timestamptz) returns text[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_room integer;
    v_queues text[];
    v_us bigint;
begin
    select p_most - count(*) into v_room
    from steps s
    where s.shard = p_shard and s.run_id = p_run_id and s.flags & 128 = 128 and s.state in ('available', 'running', 'scheduled');
    if v_room <= 0
            or exists (select from group_slots g where g.shard = p_shard and g.run_id = p_run_id and g.ordinal = -1 and g.state = 'waiting') then
        return '{}';
    end if;
    v_us := clock_us();
    with next as materialized (
        select s.ctid as tid, row_number() over (order by s.ordinal) as i from steps s
        where s.shard = p_shard and s.run_id = p_run_id and s.reason = 'parallel' and s.state = 'waiting' and s.flags & 64 = 0
        order by s.ordinal limit v_room
    ), released as (
        update steps s
        set state = case when s.run_at > p_now then 'scheduled' else 'available' end::step_state, reason = null,
            seq = greatest(s.seq + 1, v_us + n.i)
        from next n
        where s.ctid = n.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(distinct r.queue) filter (where r.state = 'available') into v_queues from released r;
    return coalesce(v_queues, '{}');
end $$;
