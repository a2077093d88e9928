-- Writes down what attempts led to, like finish_steps. p_tids is where the claim has left the rows, p_outcomes is null where all have
-- completed: then nothing is looked up, and only what was moved since its claim goes the long way. Tokens come in the order of the
-- key, each once. Returns the refused tokens (LeaseLost).
-- Locks, in this order: root runs by id (p_has_runs), step rows, counters.
create or replace function tributary.finish_leases(
    p_shard smallint, p_process bigint, p_tids tid[], p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_outcomes text[],
    p_results text[], p_errors text[], p_delays float8[], p_elapsed float8[], p_has_runs boolean,
    p_queues text[], p_names text[], p_free integer
) returns table (run_id uuid, ordinal integer, seq bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_at integer[];
    v_kinds step_kind[];
    v_rest integer[];
begin
    if p_outcomes is not null then
        return query
            select f.run_id, f.ordinal, f.seq
            from finish_steps(p_shard, p_process, p_run_ids, p_ordinals, p_seqs, p_outcomes, p_results, p_errors, p_delays, p_elapsed,
                              p_has_runs, p_queues, p_names, p_free) as f;
        return;
    end if;
    if p_has_runs then
        perform lock_runs(p_shard, p_run_ids);
    end if;
    v_now := clock();
    select array_agg(c.i), array_agg(c.kind) into v_at, v_kinds
    from complete_leases(p_shard, p_tids, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, v_now) as c;
    if not p_has_runs and 'intent' <> any (v_kinds) then
        raise exception 'a step of a run was finished without the lock on its run' using errcode = 'TR001';
    end if;
    if p_has_runs and cardinality(v_at) = cardinality(p_run_ids) then
        perform settle_ended(p_shard, p_run_ids, p_ordinals, v_kinds, array_fill(0::smallint, array[cardinality(v_at)]), p_results, null,
                             v_now, p_queues, p_names, p_free);
    elsif p_has_runs and v_at is not null then
        perform settle_ended(p_shard, array(select p_run_ids[i] from unnest(v_at) i), array(select p_ordinals[i] from unnest(v_at) i), v_kinds,
                             array_fill(0::smallint, array[cardinality(v_at)]), array(select p_results[i] from unnest(v_at) i), null,
                             v_now, p_queues, p_names, p_free);
    end if;
    -- as tell_waiters, which is one call more
    if 'intent' = any (v_kinds) and exists (select from waiters) then
        perform notify_waiters(p_shard, p_run_ids);
    end if;
    if cardinality(v_at) is distinct from cardinality(p_run_ids) then
        v_rest := array(select i from generate_series(1, cardinality(p_run_ids)) as i where v_at is null or i <> all (v_at));
        return query
            select f.run_id, f.ordinal, f.seq
            from finish_steps(
                p_shard, p_process, array(select p_run_ids[i] from unnest(v_rest) as i), array(select p_ordinals[i] from unnest(v_rest) as i),
                array(select p_seqs[i] from unnest(v_rest) as i), array_fill('completed'::text, array[cardinality(v_rest)]),
                array(select p_results[i] from unnest(v_rest) as i), null, null, array(select p_elapsed[i] from unnest(v_rest) as i),
                p_has_runs, p_queues, p_names, p_free) as f;
    end if;
end $$;
