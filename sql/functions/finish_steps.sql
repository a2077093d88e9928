-- Writes down what attempts led to. Every row is fenced by (step, seq at claim); returns only the refused tokens (LeaseLost).
-- Outcomes: completed, cached (by the result of another attempt), skipped, retry, discarded, aborted (discarded, and its run ends), snoozed, released, crashed, expanded, started, decided, waits, continued, parked.
-- Of expanded (a fan-out) p_results has the items, of started (a sub-workflow) what to start, of decided (a step with expressions
-- in its options) their values, of waits (for a time, a signal, an answer) the terms that begin_wait takes, of continued (a workflow function
-- begins anew) what continue_run takes. parked is a workflow function whose code does not fit its history. suspended, which is no event, is one
-- that waits: with what suspend_steps takes. cache_wait, which is none either, is put off while another attempt makes the result that it would take.
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
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_tids tid[];
    v_at integer[];
    v_kinds step_kind[];
    v_now timestamptz;
    v_refused boolean;
    v_good integer[];
    v_rest integer[];
    v_rest_ends smallint[];
    v_ends smallint[];
    v_aborted uuid[];
    v_hooked uuid[];
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
    if v_tids is null then
        return query select * from unnest(p_run_ids, p_ordinals, p_seqs);
        return;
    end if;
    v_now := clock();
    v_refused := cardinality(v_tids) is distinct from cardinality(p_run_ids);
    if not p_has_runs and 'intent' <> any (v_kinds) then
        raise exception 'a step of a run was finished without the lock on its run' using errcode = 'TR001';
    end if;

    v_good := array(select n from unnest(v_at) with ordinality as t(i, n) where p_outcomes[t.i] = 'completed');
    v_ends := array_fill(0::smallint, array[cardinality(v_tids)]);
    if cardinality(v_good) > 0 then
        -- the path of work that goes well: nothing but the row is written
        perform complete_steps(p_shard, array(select v_tids[n] from unnest(v_good) n), array(select p_results[v_at[n]] from unnest(v_good) n),
                               array(select p_elapsed[v_at[n]] from unnest(v_good) n), v_now);
    end if;
    if cardinality(v_good) < cardinality(v_tids) then
        v_rest := array(select n from generate_series(1, cardinality(v_tids)) n where n <> all (v_good));
        v_rest_ends := finish_mixed(
            p_shard, array(select v_tids[n] from unnest(v_rest) n),
            array(select p_outcomes[v_at[n]] from unnest(v_rest) n), array(select p_results[v_at[n]] from unnest(v_rest) n),
            array(select p_errors[v_at[n]] from unnest(v_rest) n), array(select p_delays[v_at[n]] from unnest(v_rest) n),
            array(select p_elapsed[v_at[n]] from unnest(v_rest) n), v_now);
        v_ends := array(select coalesce(r.e, 0::smallint) from generate_series(1, cardinality(v_tids)) with ordinality as t(n, i)
                        left join unnest(v_rest, v_rest_ends) as r(n, e) using (n) order by t.i);
    end if;

    if p_has_runs then
        if 'aborted' = any (p_outcomes) then
            v_aborted := array(select distinct p_run_ids[i] from unnest(v_at) as i where p_outcomes[i] = 'aborted' and p_ordinals[i] > 0);
            with hooked as (
                -- an abort by a hook: its run has failed, whatever it had come to, and ends so where nothing else is left of it
                update runs r set ending = 'failed', reason = 'aborted', failed = greatest(r.failed, 1)
                where r.shard = p_shard and r.run_id = any (v_aborted) and r.ending is not null
                returning r.run_id
            )
            select array_agg(h.run_id) into v_hooked from hooked h;
        end if;
        perform settle_ended(
            p_shard, array(select p_run_ids[i] from unnest(v_at) i), array(select p_ordinals[i] from unnest(v_at) i), v_kinds, v_ends,
            array(select p_results[i] from unnest(v_at) i), array(select p_errors[i] from unnest(v_at) i), v_now, p_queues, p_names, p_free,
            null, null, null, null, null, null);
        perform abort_run(p_shard, u.run_id, coalesce(u.run_id = any (v_hooked), false), v_now) from unnest(v_aborted) as u(run_id);
    end if;

    if 'intent' = any (v_kinds) then
        perform tell_waiters(p_shard, p_run_ids);
    end if;
    if v_refused then
        return query
            select t.run_id, t.ordinal, t.seq
            from unnest(p_run_ids, p_ordinals, p_seqs) with ordinality as t(run_id, ordinal, seq, i)
            where t.i <> all (v_at);
    end if;
end $$;
