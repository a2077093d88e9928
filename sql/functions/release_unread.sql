-- Makes up to p_limit steps available that went back because a key was missing and come again within p_within seconds; returns how many.
-- A worker that has keys says so as it comes: what it cannot read either goes back again. Index: steps_due, of which only so many seconds
-- are read. Locks: step rows by SKIP LOCKED.
create or replace function tributary.release_unread(p_shard smallint, p_within double precision, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
declare
    v_now timestamptz := clock();
    v_until timestamptz := v_now + make_interval(secs => p_within);
    v_tids tid[];
    v_queues text[];
    v_us bigint;
begin
    v_tids := array(
        select s.ctid from steps s
        where s.shard = p_shard and s.state = 'scheduled' and s.run_at > v_now and s.run_at <= v_until and s.reason = 'no_key'
        order by s.run_at limit p_limit
        for update skip locked);
    if cardinality(v_tids) = 0 then
        return 0;
    end if;
    v_us := clock_us();
    with released as (
        update steps s set state = 'available', run_at = v_now, seq = greatest(s.seq + 1, v_us + due.i)
        from unnest(v_tids) with ordinality as due(tid, i)
        where s.ctid = due.tid and s.shard = p_shard
        returning s.queue
    )
    select array_agg(distinct r.queue) into v_queues from released r;
    perform wake(v_queues);
    return cardinality(v_tids);
end $$;
