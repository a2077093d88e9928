-- Claims up to p_n rows over lanes of queues that are not paused, for a caller that know_caller has told all of: what claim_leases does.
-- Locks: step rows by SKIP LOCKED (lock_lanes), and the counters of limits (lock_limited). The planner's settings are the callers'.
drop function if exists tributary.claim_known(
    smallint, bigint, text[], smallint[], text[], bigint[], text[], boolean, boolean, text[], text[], integer, tid[]);
create or replace function tributary.claim_known(
    p_shard smallint, p_process bigint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_python boolean, p_others boolean, p_paused text[], p_limited text[], p_n integer
) returns table (
    run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    payload text, options text, lone_crashes smallint
)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_queues text[] := p_queues;
    v_priorities smallint[] := p_priorities;
    v_tenants text[] := p_tenants;
    v_lows bigint[] := p_lows;
    v_tids tid[] := '{}';
    v_now timestamptz;
begin
    if p_paused && p_queues then
        select array_agg(l.queue), array_agg(l.priority), array_agg(l.tenant_id), array_agg(l.low)
        into v_queues, v_priorities, v_tenants, v_lows
        from unnest(p_queues, p_priorities, p_tenants, p_lows) as l(queue, priority, tenant_id, low)
        where l.queue <> all (p_paused);
    end if;
    if p_n <= 0 then
        null;
    elsif p_limited <> '{}' then
        v_tids := lock_limited(p_shard, v_queues, v_priorities, v_tenants, v_lows, p_names, p_python, p_others, p_n, p_limited);
        v_now := clock();
        if cardinality(v_tids) > 0 then
            perform spend_room(p_shard, p_limited, v_tids, v_now);
        end if;
    else
        v_tids := lock_lanes(p_shard, v_queues, v_priorities, v_tenants, v_lows, p_names, p_python, p_others, p_n);
        v_now := clock();
    end if;
    if cardinality(v_tids) = 0 then
        return;
    end if;
    -- the clock was read after the rows were seen: no child starts before its parent ended
    return query
        select c.run_id, c.ordinal, c.seq, c.tid, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id,
               c.attempt, c.attempt_base, c.max_attempts, c.crashes, c.flags, coalesce(c.payload, p.payload)::text,
               (case when t.ids is null then p.options else coalesce(p.options, '{}') || t.ids end)::text, c.lone_crashes
        from write_claims(p_shard, p_process, v_tids, p_python, v_now) as c
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
