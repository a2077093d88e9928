-- Items of a fan-out have ended, p_bad of them badly: the next ones begin that max_parallel has kept waiting, or none any more and what
-- is left is cancelled, once more failed than is tolerated. Returns the ordinals of those; they are still to be settled.
-- The caller holds the root run's lock. Index: progress_pkey, steps_pkey.
create or replace function tributary.advance_fan(
    p_shard smallint, p_run_id uuid, p_ordinal integer, p_ended integer, p_bad integer, p_now timestamptz
) returns integer[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_fan jsonb;
    v_first integer;
    v_next integer;
    v_end integer;
    v_failed integer;
    v_queues text[];
    v_stopped integer[] := '{}';
    v_us bigint;
begin
    select p.details into strict v_fan from progress p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal for update;
    v_first := (v_fan -> 'first')::integer;
    v_next := (v_fan -> 'next')::integer;
    v_end := v_first + (v_fan -> 'items')::integer;
    v_failed := (v_fan -> 'failed')::integer + p_bad;
    if v_fan -> 'fail_fast' = 'true' and v_failed > (v_fan -> 'tolerated')::integer then
        v_stopped := array(
            select s.ordinal from steps s
            where s.shard = p_shard and s.run_id = p_run_id and s.ordinal >= v_first and s.ordinal < v_end
              and s.state in ('blocked', 'scheduled', 'available', 'waiting', 'running')
            order by s.ordinal);
        perform end_rows(p_shard, p_run_id, v_stopped, 'cancelled', 'fail_fast', p_now);
        v_next := v_end;
    elsif v_next < v_end then
        v_us := clock_us();
        with following as materialized (
            select s.ctid as tid, s.ordinal from steps s
            where s.shard = p_shard and s.run_id = p_run_id and s.ordinal >= v_next and s.ordinal < v_end and s.state = 'blocked'
            order by s.ordinal limit p_ended
        ), released as (
            update steps s
            set unmet = 0, seq = greatest(s.seq + 1, v_us + s.ordinal),
                state = case when s.reason = 'no_handler' or s.flags & 192 <> 0 then 'waiting' else 'available' end::step_state,
                reason = case when s.reason = 'no_handler' then s.reason when s.flags & 64 = 64 then 'paused' when s.flags & 128 = 128 then 'parallel' end
            from following f
            where s.ctid = f.tid and s.shard = p_shard
            returning s.queue, s.state
        )
        select array_agg(distinct r.queue) filter (where r.state = 'available'), (select coalesce(max(f.ordinal) + 1, v_end) from following f)
        into v_queues, v_next
        from released r;
        perform wake(v_queues);
    end if;
    if p_bad > 0 or v_next <> (v_fan -> 'next')::integer then
        update progress p set details = v_fan || jsonb_build_object('failed', v_failed, 'next', v_next)
        where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal;
    end if;
    return v_stopped;
end $$;
