-- Ends up to p_limit waits whose time has come: a timer completes its step, and so does a wait for a signal or an answer that goes on without
-- it; any other is discarded, reason timeout. Returns how many. Whoever looks for work asks this, the leader is the backstop; who holds a
-- run at this moment is passed over. Locks: root runs by SKIP LOCKED, then steps. Index: waits_due, waits_pkey; one probe where nothing is due.
create or replace function tributary.fire_waits(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
declare
    v_now timestamptz := clock();
    v_due uuid[];
    v_due_ordinals integer[];
    v_run_ids uuid[];
    v_ordinals integer[];
    v_results jsonb[];
    v_errors jsonb[];
begin
    -- runs that somebody holds at this moment are passed over, within bounds, so that they do not hold up the others
    select array_agg(due.run_id), array_agg(due.ordinal) into v_due, v_due_ordinals
    from (
        select w.run_id, w.ordinal
        from (
            select k.run_id, k.ordinal, k.due_at from waits k
            where k.shard = p_shard and k.due_at <= v_now and k.due_at is not null order by k.due_at limit 20 * p_limit
        ) as w
        cross join lateral (select r.root_id from runs r where r.shard = p_shard and r.run_id = w.run_id offset 0) as k
        cross join lateral (
            select from runs r where r.shard = p_shard and r.run_id = k.root_id for update skip locked offset 0
        ) as locked
        limit p_limit
    ) as due;
    if v_due is null then
        return 0;
    end if;
    -- once more under the locks, as a signal or a cancel may have come before
    select array_agg(w.run_id order by w.run_id, w.ordinal), array_agg(w.ordinal order by w.run_id, w.ordinal),
           array_agg(case when w.fails then null else 'null'::jsonb end order by w.run_id, w.ordinal),
           array_agg(case when w.fails then jsonb_build_object(
               'type', 'WaitTimeout', 'reason', 'timeout', 'message', case w.kind when 'signal' then format('no signal %s came in time', quote_literal(w.signal))
                                                                                  else 'nobody answered in time' end) end
                     order by w.run_id, w.ordinal)
    into v_run_ids, v_ordinals, v_results, v_errors
    from unnest(v_due, v_due_ordinals) as u(run_id, ordinal)
    cross join lateral (
        select k.run_id, k.ordinal, k.kind, k.signal, k.due_at, k.kind <> 'timer' and not k.goes_on as fails from waits k
        where k.shard = p_shard and k.run_id = u.run_id and k.ordinal = u.ordinal offset 0
    ) as w
    where w.due_at <= v_now;
    if v_run_ids is null then
        return 0;
    end if;
    perform end_waits(p_shard, v_run_ids, v_ordinals, v_results, v_errors, v_now);
    return cardinality(v_run_ids);
end $$;
