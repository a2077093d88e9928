-- Claims up to p_n rows over the given lanes (queue, priority, tenant) in their order, each from its watermark p_lows on.
-- Refused before register_process. tid is where the claimed row lies: with it finish_leases need not look the row up.
-- Locks: step rows by SKIP LOCKED (lock_lanes). Pauses and disabled names are read per call, never per row.
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
    v_open boolean[];
    v_tids tid[];
begin
    select p.runtime, p.beat_at into v_runtime, v_beat_at from processes p where p.process_id = p_process;
    if not found then
        raise exception 'process % is not registered', p_process
            using errcode = 'TR004', hint = 'call tributary.register_process first; a process that was silent too long registers anew';
    elsif v_beat_at < clock() - interval '10 seconds' then
        return;  -- its leases are being taken away at this moment; it claims again once it has beaten
    end if;
    select array_agg(r.name) filter (where not r.is_enabled or r.runtime <> v_runtime), coalesce(bool_or(r.name <> all (p_names)), false)
    into v_struck, v_foreign
    from registry r;
    if v_struck is not null then
        v_names := array(select n from unnest(p_names) as n where n <> all (v_struck));
    end if;
    v_open := array(select q <> all (array(select k.name from queues k where k.paused)) from unnest(p_queues) as q);
    v_tids := lock_lanes(
        p_shard,
        array(select q from unnest(p_queues, v_open) as l(q, open) where open), array(select n from unnest(p_priorities, v_open) as l(n, open) where open),
        array(select t from unnest(p_tenants, v_open) as l(t, open) where open), array(select n from unnest(p_lows, v_open) as l(n, open) where open),
        v_names, v_runtime = 'python', v_foreign or v_struck is not null or v_runtime <> 'python', p_n);
    -- the clock is read after the rows were seen: no child starts before its parent ended
    return query
        select c.run_id, c.ordinal, c.seq, c.tid, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id,
               c.attempt, c.attempt_base, c.max_attempts, c.crashes, c.flags, coalesce(c.payload, p.payload)::text, p.options::text, c.lone_crashes
        from write_claims(p_shard, p_process, v_tids, v_runtime = 'python', clock()) as c
        left join lateral (
            select k.payload, k.options from payloads k
            where c.payload is null and k.shard = p_shard and k.run_id = c.run_id and k.ordinal = c.ordinal
            offset 0
        ) as p on true;
end $$;
