-- A workflow function ends and leaves these steps behind (null: all) that it had asked for: what of them has not ended is cancelled, and off
-- the counter of its run. The caller holds the root run's lock. Index: steps_pkey.
create or replace function tributary.leave_asked(p_shard smallint, p_run_id uuid, p_ordinals integer[], p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_left integer[] := array(
        select s.ordinal from steps s
        where s.shard = p_shard and s.run_id = p_run_id and (p_ordinals is null or s.ordinal = any (p_ordinals)) and is_asked(s.flags)
          and s.state in ('blocked', 'scheduled', 'available', 'waiting', 'running')
        order by s.ordinal);
begin
    if cardinality(v_left) > 0 then
        perform end_rows(p_shard, p_run_id, v_left, 'cancelled', 'left', p_now);
        update runs r set remaining = r.remaining - cardinality(v_left) where r.shard = p_shard and r.run_id = p_run_id;
    end if;
end $$;
