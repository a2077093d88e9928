-- Makes up to p_limit due rows available; returns how many. Bounded housekeeping of every short claim, the leader is the backstop.
-- What expires goes first, as it may hide what a claim could take.
-- Locks: runs and step rows by SKIP LOCKED (expire_steps, due_steps).
create or replace function tributary.promote(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set jit to off
as $$
declare
    v_tids tid[];
    v_us bigint;
begin
    perform expire_steps(p_shard, p_limit);
    v_tids := due_steps(p_shard, clock(), p_limit);
    if cardinality(v_tids) > 0 then
        v_us := clock_us();
        update steps s set state = 'available', seq = greatest(s.seq + 1, v_us + due.i)
        from unnest(v_tids) with ordinality as due(tid, i)
        where s.ctid = due.tid and s.shard = p_shard;
    end if;
    return cardinality(v_tids);
end $$;
