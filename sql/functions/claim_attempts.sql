-- Claims up to p_n rows over the given lanes (queue, priority, tenant) in their order, each from its watermark p_lows on.
-- Refused before register_process. Per lane at most 20,000 rows are looked at, so a lane full of foreign names costs a bound.
-- Locks: step rows by SKIP LOCKED. Index: steps_ready. Pauses and disabled names are read per call, never per row.
create or replace function tributary.claim_attempts(
    p_shard smallint, p_process bigint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_n integer
) returns table (
    run_id uuid, ordinal integer, seq bigint, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    payload text, options text, lone_crashes smallint
)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_runtime text;
    v_beat_at timestamptz;
    v_struck text[];
    v_paused text[];
    v_names text[] := p_names;
begin
    select p.runtime, p.beat_at into v_runtime, v_beat_at from processes p where p.process_id = p_process;
    if not found then
        raise exception 'process % is not registered', p_process
            using errcode = 'TR004', hint = 'call tributary.register_process first; a process that was silent too long registers anew';
    elsif v_beat_at < clock() - interval '10 seconds' then
        return;  -- its leases are being taken away at this moment; it claims again once it has beaten
    end if;
    v_struck := array(select r.name from registry r where not r.is_enabled or r.runtime <> v_runtime);
    if cardinality(v_struck) > 0 then
        v_names := array(select n from unnest(p_names) as n where n <> all (v_struck));
    end if;
    -- a list, not a join: the lanes must keep their order, and an anti-join may be planned the other way round
    v_paused := array(select q.name from queues q where q.paused);

    return query
        with picked as materialized (
            select mine.tid
            from unnest(p_queues, p_priorities, p_tenants, p_lows) as lane(queue, priority, tenant_id, low)
            cross join lateral (
                select locked.tid
                from (
                    select s.ctid as tid, s.name, s.kind, s.seq, s.lone_crashes
                    from steps s
                    where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
                      and s.priority = lane.priority and s.tenant_id = lane.tenant_id and s.seq >= lane.low
                    order by s.seq limit 20000
                ) as seen
                cross join lateral (
                    select s.ctid as tid from steps s
                    where s.ctid = seen.tid and s.shard = p_shard and s.state = 'available' and s.seq = seen.seq
                    for update skip locked
                ) as locked
                -- the with of a step is evaluated by Python, which also has a process for each suspect
                where seen.name = any (v_names) and (v_runtime = 'python' or (seen.kind = 'intent' and seen.lone_crashes is null))
                limit p_n
            ) as mine
            where lane.queue <> all (v_paused)
            limit p_n
        ), moment as materialized (
            -- the clock is read after the rows were seen: no child starts before its parent ended
            select array_agg(picked.tid) as tids, clock() as now from picked
        ), claimed as (
            update steps s
            set state = 'running', attempt = s.attempt + 1, process_id = p_process, claimed_at = (select now from moment),
                -- other languages start what they claim; Python records the start of an at-most-once attempt itself
                started_at = case when v_runtime <> 'python' and s.max_attempts = 1 then (select now from moment) end, reason = null
            where s.ctid = any ((select tids from moment)::tid[]) and s.shard = p_shard
            returning s.*
        )
        select c.run_id, c.ordinal, c.seq, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id,
               c.attempt, c.attempt_base, c.max_attempts, c.crashes, c.flags, p.payload::text, p.options::text,
               c.lone_crashes
        from claimed c
        left join lateral (
            select k.payload, k.options from payloads k
            where k.shard = p_shard and k.run_id = c.run_id and k.ordinal = c.ordinal
            offset 0
        ) as p on true;
end $$;
