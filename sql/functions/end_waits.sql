-- What these steps of runs waited for has come (p_errors null: each completes with its result), or will not come (its error: the step is
-- discarded). The caller holds the locks of the root runs and knows that all of them wait.
create or replace function tributary.end_waits(
    p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_results jsonb[], p_errors jsonb[], p_now timestamptz
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_waits tid[];
    v_tids tid[];
    v_kinds step_kind[];
    v_outcomes text[];
    v_errors text[];
    v_results text[];
    v_nobody float8[] := array_fill(null::float8, array[cardinality(p_run_ids)]);
    v_ends smallint[];
begin
    select array_agg(held.tid order by u.i), array_agg(held.kind order by u.i),
           array_agg(case when u.error is null then 'completed' else 'discarded' end order by u.i),
           array_agg(u.result::text order by u.i), array_agg(u.error::text order by u.i)
    into v_tids, v_kinds, v_outcomes, v_results, v_errors
    from unnest(p_run_ids, p_ordinals, p_results, p_errors) with ordinality as u(run_id, ordinal, result, error, i)
    cross join lateral (
        select s.ctid as tid, s.kind from steps s where s.shard = p_shard and s.run_id = u.run_id and s.ordinal = u.ordinal for update offset 0
    ) as held;
    v_waits := array(
        select w.tid from unnest(p_run_ids, p_ordinals) as u(run_id, ordinal)
        cross join lateral (
            select w.ctid as tid from waits w where w.shard = p_shard and w.run_id = u.run_id and w.ordinal = u.ordinal offset 0
        ) as w);
    delete from waits w where w.ctid = any (v_waits) and w.shard = p_shard;
    if num_nonnulls(variadic p_errors) = 0 then
        -- begin_wait has noted when they started
        v_ends := array_fill(0::smallint, array[cardinality(v_tids)]);
        perform complete_steps(p_shard, v_tids, v_results, v_nobody, p_now);
    else
        v_ends := finish_mixed(p_shard, v_tids, v_outcomes, v_results, v_errors, v_nobody, v_nobody, p_now);
    end if;
    perform settle_ended(p_shard, p_run_ids, p_ordinals, v_kinds, v_ends, v_results, v_errors, p_now, '{}', '{}', 0,
                         null, null, null, null, null, null);
end $$;
