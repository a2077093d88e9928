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
set jit to off
as $$
declare
    v_now timestamptz := clock();
    v_due uuid[];
    v_free uuid[];
    v_run_ids uuid[];
    v_ordinals integer[];
    v_results jsonb[];
    v_errors jsonb[];
begin
    v_due := array(select w.run_id from waits w where w.shard = p_shard and w.due_at <= v_now and w.due_at is not null order by w.due_at limit p_limit);
    if cardinality(v_due) = 0 then
        return 0;
    end if;
    v_free := array(
        select roots.run_id
        from (
            select u.run_id, k.root_id from (select distinct unnest(v_due) as run_id) as u
            cross join lateral (select r.root_id from runs r where r.shard = p_shard and r.run_id = u.run_id offset 0) as k
            order by k.root_id
        ) as roots
        cross join lateral (
            select from runs r where r.shard = p_shard and r.run_id = roots.root_id for update skip locked offset 0
        ) as locked);
    -- under the locks, as a signal or a cancel may have come before
    select array_agg(w.run_id order by w.run_id, w.ordinal), array_agg(w.ordinal order by w.run_id, w.ordinal),
           array_agg(case when w.fails then null else 'null'::jsonb end order by w.run_id, w.ordinal),
           array_agg(case when w.fails then jsonb_build_object(
               'type', 'WaitTimeout', 'reason', 'timeout', 'message', case w.kind when 'signal' then format('no signal %s came in time', quote_literal(w.signal))
                                                                                  else 'nobody answered in time' end) end
                     order by w.run_id, w.ordinal)
    into v_run_ids, v_ordinals, v_results, v_errors
    from unnest(v_free) as u(run_id)
    cross join lateral (
        select k.run_id, k.ordinal, k.kind, k.signal, k.due_at, k.kind <> 'timer' and not k.goes_on as fails from waits k
        where k.shard = p_shard and k.run_id = u.run_id offset 0
    ) as w
    where w.due_at <= v_now;
    if v_run_ids is null then
        return 0;
    end if;
    perform end_waits(p_shard, v_run_ids, v_ordinals, v_results, v_errors, v_now);
    return cardinality(v_run_ids);
end $$;
