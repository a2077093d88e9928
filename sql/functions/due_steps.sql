-- Locks up to p_limit scheduled rows whose time has come, the longest due first, and returns where they are.
-- p_now is a value: compared with a volatile clock() the index could not end the scan, and every call read all that is scheduled.
-- Locks: step rows by SKIP LOCKED. Index: steps_due; the settings leave the planner no other way, see complete_steps.
create or replace function tributary.due_steps(p_shard smallint, p_now timestamptz, p_limit integer) returns tid[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
begin
    return array(
        select s.ctid from steps s
        where s.shard = p_shard and s.state = 'scheduled' and s.run_at <= p_now
        order by s.run_at limit p_limit
        for update skip locked);
end $$;
