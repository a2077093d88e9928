-- Where steps wait for the limit of their run and nothing of it runs, the limit holds nobody back: handlers have come that were unknown.
-- Returns how many runs that were looked at. Bounded. Locks: root run, then steps; one run after the other. Index: steps_parallel, steps_pkey.
create or replace function tributary.fill_waiting(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set jit to off
as $$
declare
    v_run_ids uuid[];
    v_id uuid;
begin
    v_run_ids := array(
        with recursive waiting (run_id) as (
            (select s.run_id from steps s where s.shard = p_shard and s.reason = 'parallel' order by s.run_id limit 1)
            union all
            select (select s.run_id from steps s where s.shard = p_shard and s.reason = 'parallel' and s.run_id > waiting.run_id
                    order by s.run_id limit 1)
            from waiting where waiting.run_id is not null
        )
        select w.run_id from waiting w
        join runs r on r.shard = p_shard and r.run_id = w.run_id and r.state = 'running' and r.max_parallel is not null
        where not exists (select from steps s where s.shard = p_shard and s.run_id = w.run_id and s.flags & 128 = 128
                            and s.state in ('available', 'running', 'scheduled'))
        order by r.root_id, w.run_id limit p_limit);
    perform lock_runs(p_shard, v_run_ids);
    foreach v_id in array v_run_ids loop
        perform wake(fill_run(p_shard, v_id, r.max_parallel, clock()))
        from runs r where r.shard = p_shard and r.run_id = v_id and r.state = 'running' and r.ending is null;
    end loop;
    return cardinality(v_run_ids);
end $$;
