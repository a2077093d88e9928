-- The part of finish_leases for attempts that have all completed, and whose rows lie where their claim has left them: nothing is looked up.
-- rest: the indexes of those that do not lie there any more, for finish_steps. handed: where what the caller goes on with lies (p_next_…, as settle_steps).
-- alone: one attempt has ended, one step became ready by it, and that is handed.
-- Locks, in this order: root runs by id (p_has_runs), step rows, counters. The planner's settings are the callers'.
create or replace function tributary.end_leases(
    p_shard smallint, p_tids tid[], p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_results text[], p_elapsed float8[],
    p_has_runs boolean, p_queues text[], p_names text[], p_free integer,
    p_next_process bigint, p_next_most integer,
    p_next_queues text[], p_next_priorities smallint[], p_next_tenants text[], p_next_befores bigint[],
    out rest integer[], out handed tid[], out alone boolean
)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz;
    v_at integer[];
    v_kinds step_kind[];
    v_one record;
begin
    if p_has_runs then
        perform lock_runs(p_shard, p_run_ids);
    end if;
    v_now := clock();
    select array_agg(c.i), array_agg(c.kind) into v_at, v_kinds
    from complete_leases(p_shard, p_tids, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, v_now) as c;
    if not p_has_runs and 'intent' <> any (v_kinds) then
        raise exception 'a step of a run was finished without the lock on its run' using errcode = 'TR001';
    end if;
    alone := false;
    if p_next_process is not null and cardinality(p_run_ids) = 1 and v_kinds[1] = 'step' then
        v_one := settle_one(p_shard, p_run_ids[1], p_ordinals[1], v_now, p_queues, p_names, p_free,
                            p_next_process, p_next_queues, p_next_priorities, p_next_tenants, p_next_befores);
        if v_one.settled then
            alone := v_one.handed is not null;
            handed := case when alone then array[v_one.handed] end;
            return;
        end if;
    end if;
    if p_has_runs and cardinality(v_at) = cardinality(p_run_ids) then
        handed := settle_ended(p_shard, p_run_ids, p_ordinals, v_kinds, array_fill(0::smallint, array[cardinality(v_at)]), p_results, null,
                               v_now, p_queues, p_names, p_free, p_next_process, p_next_most, p_next_queues, p_next_priorities, p_next_tenants, p_next_befores);
    elsif p_has_runs and v_at is not null then
        handed := settle_ended(p_shard, array(select p_run_ids[i] from unnest(v_at) i), array(select p_ordinals[i] from unnest(v_at) i), v_kinds,
                               array_fill(0::smallint, array[cardinality(v_at)]), array(select p_results[i] from unnest(v_at) i), null,
                               v_now, p_queues, p_names, p_free, p_next_process, p_next_most, p_next_queues, p_next_priorities, p_next_tenants, p_next_befores);
    end if;
    -- as tell_waiters, which is one call more
    if 'intent' = any (v_kinds) and exists (select from waiters) then
        perform notify_waiters(p_shard, p_run_ids);
    end if;
    if cardinality(v_at) is distinct from cardinality(p_run_ids) then
        rest := array(select i from generate_series(1, cardinality(p_run_ids)) as i where v_at is null or i <> all (v_at));
    end if;
end $$;
