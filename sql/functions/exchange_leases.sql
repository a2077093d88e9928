-- finish_leases and claim_leases in one, for attempts that have all completed: of what they release the process goes on with the steps that are
-- next in line (find_next_in_line), which so are written once instead of being made available and claimed.
-- how: refused (a token: LeaseLost), next (a step that became ready by this very call), some (the same, where there were more of them than p_n), claimed.
-- p_n are handed on and claimed in all, p_free of them claimed at most: the caller may leave room for what its steps release. p_served are the queues
-- that the caller claims from, those of the lanes are among them. Under a pause or a limit, or with a name that is disabled, nothing is handed on: claims know what is left.
-- Locks, in this order: root runs by id, step rows, counters; then step rows by SKIP LOCKED (lock_lanes), and the counters of limits.
create or replace function tributary.exchange_leases(
    p_shard smallint, p_process bigint, p_tids tid[], p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_results text[], p_elapsed float8[],
    p_served text[], p_names text[], p_free integer,
    p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[], p_n integer
) returns table (
    how text, run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    payload text, options text, lone_crashes smallint
)
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
    v_known record;
    v_process bigint;
    v_queues text[];
    v_priorities smallint[];
    v_tenants text[];
    v_befores bigint[];
    v_waits boolean := true;
    v_rest integer[];
    v_handed tid[];
    v_alone boolean;
    v_how text := 'next';
begin
    v_known := know_caller(p_process, p_queues, p_tenants, p_names);
    if v_known.python and not v_known.silent and v_known.names = p_names and v_known.limited = '{}' and (v_known.paused && p_queues) is not true then
        v_process := p_process;
        select l.queues, l.priorities, l.tenants, l.befores, l.waits into v_queues, v_priorities, v_tenants, v_befores, v_waits
        from find_next_in_line(p_shard, p_queues, p_priorities, p_tenants, p_lows) as l;
    end if;
    select e.rest, e.handed, e.alone into v_rest, v_handed, v_alone
    from end_leases(p_shard, p_tids, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, true, p_served, p_names, p_free,
                    v_process, p_n, v_queues, v_priorities, v_tenants, v_befores) as e;
    if v_rest is not null then
        return query
            select 'refused', f.run_id, f.ordinal, f.seq, null::tid, null::step_kind, null, null, null, null, null::smallint, null, null::smallint,
                   null::smallint, null::smallint, null::smallint, null::smallint, null, null, null::smallint
            from finish_rest(p_shard, p_process, v_rest, p_run_ids, p_ordinals, p_seqs, p_results, p_elapsed, true, p_served, p_names, p_free) as f;
    end if;
    if array_position(v_handed, null) is not null then
        v_how := 'some';
        v_handed := array_remove(v_handed, null);
    end if;
    if v_handed <> '{}' then
        -- as claim_known returns what it has claimed
        return query
            select v_how, c.run_id, c.ordinal, c.seq, c.tid, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id,
                   c.attempt, c.attempt_base, c.max_attempts, c.crashes, c.flags, coalesce(c.payload, p.payload)::text,
                   (case when t.ids is null then p.options else coalesce(p.options, '{}') || t.ids end)::text, c.lone_crashes
            from read_handed(p_shard, v_handed) as c
            left join lateral (
                select k.payload, k.options from payloads k
                where c.payload is null and k.shard = p_shard and k.run_id = c.run_id and k.ordinal = c.ordinal
                offset 0
            ) as p on true
            left join lateral (
                select jsonb_strip_nulls(jsonb_build_object('correlation', jsonb_build_object(
                           'correlation_id', k.correlation_id, 'business_id', k.business_id, 'traceparent', k.traceparent))) as ids
                from correlations k
                where c.correlated and k.shard = p_shard and k.run_id = c.run_id
                offset 0
            ) as t on true;
    end if;
    -- lanes that were empty before this call hold nothing but what it released, and that is handed on: nothing to look for again
    if not v_known.silent and (v_waits or not v_alone) then
        return query
            select 'claimed', c.*
            from claim_known(p_shard, p_process, p_queues, p_priorities, p_tenants, p_lows, v_known.names, v_known.python, v_known.others,
                             v_known.paused, v_known.limited, least(p_n - coalesce(cardinality(v_handed), 0), p_free)) as c;
    end if;
end $$;
