-- Writes down what attempts led to. Every row is fenced by (step, seq at claim); returns only the refused tokens (LeaseLost).
-- Outcomes: completed, skipped, retry, discarded, aborted (discarded, and its run ends), snoozed, released, crashed.
-- returned is a release by the process that knows that the attempt never started. What a process took down: crashed if nobody knows
-- whether it had started, or if a suspect had; suspected if it had started beside others; crashed_alone if nothing ran beside it.
-- Locks, in this order: root runs by id (p_has_runs), step rows, counters. Writes follow the locks in statements of their own,
-- whose snapshot sees the locked versions; the settings leave the planner one plan,
-- whatever it knows of the tables: look-ups by key (the state stays outside, or a partial index is taken). p_queues, p_names, p_free: what the caller claims right afterwards, not worth a NOTIFY.
create or replace function tributary.finish_steps(
    p_shard smallint, p_process bigint, p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_outcomes text[],
    p_results text[], p_errors text[], p_delays float8[], p_elapsed float8[], p_has_runs boolean,
    p_queues text[], p_names text[], p_free integer
) returns table (run_id uuid, ordinal integer, seq bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
as $$
#variable_conflict use_column
declare
    v_tids tid[];
    v_at integer[];
    v_kinds step_kind[];
    v_now timestamptz;
    v_refused boolean;
    v_ends smallint[];
begin
    if p_has_runs then
        perform lock_runs(p_shard, p_run_ids);
    end if;
    select array_agg(held.tid order by t.i), array_agg(t.i::integer order by t.i), array_agg(held.kind order by t.i)
    into v_tids, v_at, v_kinds
    from (
        -- in the order of the key: a rescue may hold rows of the batch that a process believed dead brings; each token once
        select distinct on (u.run_id, u.ordinal, u.seq) u.*
        from unnest(p_run_ids, p_ordinals, p_seqs) with ordinality as u(run_id, ordinal, seq, i) order by u.run_id, u.ordinal, u.seq, u.i
    ) as t
    cross join lateral (
        select s.ctid as tid, s.kind, s.state, s.seq from steps s
        where s.shard = p_shard and s.run_id = t.run_id and s.ordinal = t.ordinal
        for update offset 0
    ) as held
    where held.state = 'running' and held.seq = t.seq;
    v_now := clock();
    v_refused := cardinality(v_tids) is distinct from cardinality(p_run_ids);
    if not p_has_runs and 'intent' <> any (v_kinds) then
        raise exception 'a step of a run was finished without the lock on its run' using errcode = 'TR001';
    end if;

    if not v_refused and p_outcomes = array_fill('completed'::text, array[cardinality(p_outcomes)]) then
        -- the path of work that goes well: nothing but the row is written
        perform complete_steps(p_shard, v_tids, p_results, p_elapsed, v_now);
        if p_has_runs then
            v_ends := array_fill(0::smallint, array[cardinality(v_tids)]);
        end if;
    elsif v_tids is not null then
        v_ends := finish_mixed(
            p_shard, v_tids,
            array(select p_outcomes[i] from unnest(v_at) i), array(select p_results[i] from unnest(v_at) i),
            array(select p_errors[i] from unnest(v_at) i), array(select p_delays[i] from unnest(v_at) i),
            array(select p_elapsed[i] from unnest(v_at) i), v_now);
    end if;

    if p_has_runs and v_tids is not null then
        if 'closing' = any (v_kinds) then
            perform end_closing(p_shard, p_run_ids[i], v_ends[n], p_results[i], p_errors[i], v_now)
            from unnest(v_at, v_kinds) with ordinality as c(i, kind, n)
            where c.kind = 'closing' and v_ends[n] >= 0;
        end if;
        perform settle_steps(
            p_shard,
            array(select p_run_ids[i] from unnest(v_at, v_kinds) with ordinality c(i, kind, n) where c.kind = 'step' and v_ends[n] >= 0),
            array(select p_ordinals[i] from unnest(v_at, v_kinds) with ordinality c(i, kind, n) where c.kind = 'step' and v_ends[n] >= 0),
            array(select v_ends[n] from unnest(v_at, v_kinds) with ordinality c(i, kind, n) where c.kind = 'step' and v_ends[n] >= 0),
            v_now, p_queues, p_names, p_free);
        perform abort_run(p_shard, u.run_id, v_now)
        from (select distinct p_run_ids[i] as run_id from unnest(v_at) i where p_outcomes[i] = 'aborted' and p_ordinals[i] > 0) as u;
    end if;

    if v_refused then
        return query
            select t.run_id, t.ordinal, t.seq
            from unnest(p_run_ids, p_ordinals, p_seqs) with ordinality as t(run_id, ordinal, seq, i)
            where v_at is null or t.i <> all (v_at);
    end if;
end $$;
