-- First step of the lock order: the root runs of these runs, in id order.
create or replace function tributary.lock_runs(p_shard smallint, p_run_ids uuid[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    if cardinality(p_run_ids) = 1 then
        perform from runs r
        where r.shard = p_shard and r.run_id = (select k.root_id from runs k where k.shard = p_shard and k.run_id = p_run_ids[1])
        for update;
        return;
    end if;
    perform from (
        select distinct k.root_id
        from (select distinct unnest(p_run_ids) as id) as u
        cross join lateral (select r.root_id from runs r where r.shard = p_shard and r.run_id = u.id offset 0) as k
        order by k.root_id
    ) as roots
    cross join lateral (select from runs r where r.shard = p_shard and r.run_id = roots.root_id for update offset 0) as locked;
end $$;
