-- Ends whatever of a run has not ended, as end_rows does: its steps, its closing step once that was released, and with p_all its hooks
-- and a closing step that is blocked, too.
-- The caller holds the root run's lock; returns how many steps ended.
create or replace function tributary.end_steps(
    p_shard smallint, p_run_id uuid, p_state step_state, p_reason text, p_now timestamptz, p_all boolean
) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_ordinals integer[] := array(
        select s.ordinal from steps s
        where s.shard = p_shard and s.run_id = p_run_id
          and s.state in ('blocked', 'scheduled', 'available', 'waiting', 'running')
          and (p_all or (s.flags & 7680 = 0 and (s.kind <> 'closing' or s.state <> 'blocked')))
        order by s.ordinal);
begin
    perform end_rows(p_shard, p_run_id, v_ordinals, p_state, p_reason, p_now);
    return cardinality(v_ordinals);
end $$;
