-- Deletes the histories of runs that are pruned. All ids lie from p_first to p_last: where that range is empty, nothing is looked up by id.
-- Index: history_pkey.
create or replace function tributary.delete_history(p_shard smallint, p_run_ids uuid[], p_first uuid, p_last uuid) returns void
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
        select g.tid from unnest(p_run_ids) as u(id)
        cross join lateral (
            select g.ctid as tid from history g where g.shard = p_shard and g.run_id = u.id offset 0
        ) as g
        where (select true from history g where g.shard = p_shard and g.run_id between p_first and p_last order by g.run_id limit 1));
begin
    delete from history g where g.ctid = any (v_tids) and g.shard = p_shard;
end $$;
