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
    v_rest integer[];
begin
    if p_outcomes is not null then
        return query
            select f.run_id, f.ordinal, f.seq
            from finish_steps(p_shard, p_process, p_run_ids, p_ordinals, p_seqs, p_outcomes, p_results, p_errors, p_delays, p_elapsed,
                              p_has_runs, p_queues, p_names, p_free) as f;
        return;
    end if;
    select e.rest into v_rest
    from end_leases(p_shard, p_tids, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, p_has_runs, p_queues, p_names, p_free,
                    null, null, null, null, null, null) as e;
    if v_rest is not null then
        return query
            select f.run_id, f.ordinal, f.seq
            from finish_rest(p_shard, p_process, v_rest, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, p_has_runs, p_queues, p_names, p_free) as f;
    end if;
end $$;
