-- The workflow function of a run, whose code did not fit its history, is tried again at once; false where it is not so. The caller holds the
-- root run's lock. Index: steps_pkey.
create or replace function tributary.release_parked_step(p_shard smallint, p_run_id uuid) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_queue text;
    v_us bigint;
begin
    v_us := clock_us();
    update steps s set state = 'available', reason = null, run_at = null, seq = greatest(s.seq + 1, v_us)
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = 1 and s.reason = 'nondeterminism' and s.state = 'scheduled'
    returning s.queue into v_queue;
    perform wake(array_remove(array[v_queue], null));
    return v_queue is not null;
end $$;
