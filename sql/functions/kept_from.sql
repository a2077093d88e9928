-- The id of the oldest of the newest p_runs finished runs that are kept under a name, over all shards: finished ones before it go. Null where
-- there are no more than that, or no number is given. Index: runs_kept backwards, p_runs entries of it per shard and those of child runs and of what has not finished.
create or replace function tributary.kept_from(p_name text, p_runs integer) returns uuid
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
begin
    if p_runs is null then
        return null;
    elsif p_runs = 0 then
        return 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    end if;
    return (
        select newest.run_id
        from generate_series(0, shard_count() - 1) as n(shard)
        cross join lateral (
            select r.run_id from runs r
            -- compared as rows, for one index alone gives this order: with the name as an equal, the key would do so over all runs
            where r.shard = n.shard::smallint and r.keep_name is not null
              and (r.keep_name, r.run_id) >= (p_name, '00000000-0000-0000-0000-000000000000')
              and (r.keep_name, r.run_id) <= (p_name, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
              and r.finished_at is not null and r.root_id = r.run_id
            order by r.keep_name desc, r.run_id desc limit p_runs
        ) as newest
        order by newest.run_id desc offset p_runs - 1 limit 1);
end $$;
