-- Workflow functions of these names whose code did not fit their history are tried again at once: a worker has come, perhaps with other
-- code. Returns how many. Index: steps_parked. Locks: step rows by SKIP LOCKED.
create or replace function tributary.release_parked(p_shard smallint, p_names text[]) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_queues text[];
    v_count integer;
    v_us bigint;
begin
    v_us := clock_us();
    with parked as materialized (
        select s.ctid as tid, row_number() over () as i
        from (
            select k.ctid from steps k
            where k.shard = p_shard and k.name = any (p_names) and k.reason = 'nondeterminism' and k.state = 'scheduled'
            for update skip locked
        ) as s
    ), again as (
        update steps s set state = 'available', reason = null, run_at = null, seq = greatest(s.seq + 1, v_us + p.i)
        from parked p
        where s.ctid = p.tid and s.shard = p_shard
        returning s.queue
    )
    select array_agg(distinct a.queue), count(*) into v_queues, v_count from again a;
    perform wake(v_queues);
    return v_count;
end $$;
