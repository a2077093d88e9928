-- How many attempts under a limit of concurrency (limit_of) run now. Index: queue_slots_pkey, steps_pkey.
create or replace function tributary.queue_held(p_queue text) returns integer
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    if p_queue like 'tenant:%' and substr(p_queue, 8) <> all (session_tenants()) then
        return 0;  -- another's
    end if;
    return (
        select count(*)::integer
        from queue_slots k
        cross join lateral (
            select s.state, s.seq from steps s where s.shard = k.shard and s.run_id = k.run_id and s.ordinal = k.ordinal offset 0
        ) as held
        where k.queue = p_queue and held.state = 'running' and held.seq = k.seq);
end $$;
