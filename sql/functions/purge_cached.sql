-- Removes entries of the step cache, p_limit at a time: all of a handler (null for every one), or of these only what has expired. Returns how
-- many. What is being filled goes, too: its attempt goes on, and its result is not kept.
-- Locks: the entries, skipping what is locked. Index: step_cache_expires for what has expired, else step_cache_pkey.
create or replace function tributary.purge_cached(p_shard smallint, p_step_name text, p_expired boolean, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_now timestamptz := clock();
    v_tids tid[];
begin
    if p_expired then
        v_tids := array(
            select c.ctid from step_cache c
            where c.shard = p_shard and c.expires_at <= v_now and (p_step_name is null or c.step_name = p_step_name)
            order by c.expires_at limit p_limit for update skip locked);
    else
        v_tids := array(
            select c.ctid from step_cache c
            where c.shard = p_shard and (p_step_name is null or c.step_name = p_step_name)
            limit p_limit for update skip locked);
    end if;
    delete from step_cache c where c.ctid = any (v_tids) and c.shard = p_shard;
    return cardinality(v_tids);
end $$;
