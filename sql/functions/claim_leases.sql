-- Claims up to p_n rows over the given lanes (queue, priority, tenant) in their order, each from its watermark p_lows on.
-- options: with `correlation` beside them, the ids of the work, where it carries any. Refused before register_process. tid is where the claimed row lies: with it finish_leases need not look the row up.
-- Locks: step rows by SKIP LOCKED (lock_lanes), and the counters of limits (lock_limited). Pauses, limits and disabled names are
-- read per call, never per row.
create or replace function tributary.claim_leases(
    p_shard smallint, p_process bigint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_n integer
) returns table (
    run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
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
    v_runtime text;
    v_beat_at timestamptz;
    v_names text[] := p_names;
    v_struck text[];
    v_foreign boolean;
    v_paused text[];
    v_limited text[];
    v_queues text[] := p_queues;
    v_priorities smallint[] := p_priorities;
    v_tenants text[] := p_tenants;
    v_lows bigint[] := p_lows;
    v_tids tid[];
    v_now timestamptz;
begin
    -- all that is known of the caller, its names, its queues and their tenants, in one statement
    select p.runtime, p.beat_at, r.struck, r.others, q.paused, q.limited || t.limited
    into v_runtime, v_beat_at, v_struck, v_foreign, v_paused, v_limited
    from processes p
    cross join lateral (
        select array_agg(g.name) filter (where not g.is_enabled or g.runtime <> p.runtime) as struck,
               coalesce(bool_or(g.name <> all (p_names)), false) as others
        from registry g
    ) as r
    cross join (
        select array_agg(k.name) filter (where k.paused) as paused,
               coalesce(array_agg(k.name) filter (where k.name = any (p_queues) and (k.concurrency is not null or k.rate is not null)),
                        '{}') as limited
        from queues k
    ) as q
    cross join (
        select array(select 'tenant:' || n.tenant_id from tenants n where n.tenant_id = any (p_tenants)) as limited
    ) as t
    where p.process_id = p_process;
    if not found then
        raise exception 'process % is not registered', p_process
            using errcode = 'TR004', hint = 'call tributary.register_process first; a process that was silent too long registers anew';
    elsif v_beat_at < clock() - interval '10 seconds' then
        return;  -- its leases are being taken away at this moment; it claims again once it has beaten
    end if;
    if v_struck is not null then
        v_names := array(select n from unnest(p_names) as n where n <> all (v_struck));
    end if;
    if v_paused && p_queues then
        select array_agg(l.queue), array_agg(l.priority), array_agg(l.tenant_id), array_agg(l.low)
        into v_queues, v_priorities, v_tenants, v_lows
        from unnest(p_queues, p_priorities, p_tenants, p_lows) as l(queue, priority, tenant_id, low)
        where l.queue <> all (v_paused);
    end if;
    v_foreign := v_foreign or v_struck is not null or v_runtime <> 'python';
    if v_limited <> '{}' then
        v_tids := lock_limited(p_shard, v_queues, v_priorities, v_tenants, v_lows, v_names, v_runtime = 'python', v_foreign, p_n, v_limited);
        v_now := clock();
        if cardinality(v_tids) > 0 then
            perform spend_room(p_shard, v_limited, v_tids, v_now);
        end if;
    else
        v_tids := lock_lanes(p_shard, v_queues, v_priorities, v_tenants, v_lows, v_names, v_runtime = 'python', v_foreign, p_n);
        v_now := clock();
    end if;
    -- the clock was read after the rows were seen: no child starts before its parent ended
    return query
        select c.run_id, c.ordinal, c.seq, c.tid, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id,
               c.attempt, c.attempt_base, c.max_attempts, c.crashes, c.flags, coalesce(c.payload, p.payload)::text,
               (case when t.ids is null then p.options else coalesce(p.options, '{}') || t.ids end)::text, c.lone_crashes
        from write_claims(p_shard, p_process, v_tids, v_runtime = 'python', v_now) as c
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
end $$;
