-- Deletes the ids of runs and intents that are pruned. All ids lie from p_first to p_last: where that range is empty, nothing is looked up by id.
-- Index: correlations_pkey.
create or replace function tributary.delete_correlations(p_shard smallint, p_run_ids uuid[], p_first uuid, p_last uuid) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
declare
    v_tids tid[] := array(
        select c.tid from unnest(p_run_ids) as u(id)
        cross join lateral (
            select c.ctid as tid from correlations c where c.shard = p_shard and c.run_id = u.id offset 0
        ) as c
        where (select true from correlations c where c.shard = p_shard and c.run_id between p_first and p_last order by c.run_id limit 1));
begin
    delete from correlations c where c.ctid = any (v_tids) and c.shard = p_shard;
end $$;
