-- What end_leases has left: completed attempts (p_at are their indexes) whose rows were moved since their claim. Returns the refused tokens.
create or replace function tributary.finish_rest(
    p_shard smallint, p_process bigint, p_at integer[], p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_results text[],
    p_elapsed float8[], p_has_runs boolean, p_queues text[], p_names text[], p_free integer
) returns table (run_id uuid, ordinal integer, seq bigint)
language sql volatile
set search_path to tributary, pg_temp
as $$
    select f.run_id, f.ordinal, f.seq
    from finish_steps(
        p_shard, p_process, array(select p_run_ids[i] from unnest(p_at) as i), array(select p_ordinals[i] from unnest(p_at) as i),
        array(select p_seqs[i] from unnest(p_at) as i), array_fill('completed'::text, array[cardinality(p_at)]),
        array(select p_results[i] from unnest(p_at) as i), null, null, array(select p_elapsed[i] from unnest(p_at) as i),
        p_has_runs, p_queues, p_names, p_free) as f
$$;
