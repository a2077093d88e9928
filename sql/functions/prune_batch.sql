-- Prunes one window of finished work, see find_prunable, with everything that belongs to it, and frees its idempotency keys. Returns what
-- went and where the next window begins (null: the sweep has come to its end). Each call is a transaction of its own.
-- Locks: runs in id order, then steps, all by SKIP LOCKED: a batch waits for nobody, and what somebody holds stays until the next sweep.
-- A run's row goes first: with it the run is gone for everybody. Its steps go with their windows; they are the rests that a later
-- sweep finds if nobody asks for the next window.
create or replace function tributary.prune_batch(
    p_shard smallint, p_after uuid, p_ordinal integer, p_keep interval, p_keep_letters interval, p_states text[], p_tenant text, p_limit integer
) returns table (runs integer, intents integer, next_after uuid, next_ordinal integer)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_variable
declare
    v_old timestamptz := clock() - p_keep;
    v_found record;
    v_heads record;
    v_rows record;
    v_loose record;
    v_parts record;
    v_going uuid[];
begin
    select * into v_found
    from find_prunable(p_shard, p_after, p_ordinal, p_keep, p_keep_letters, p_states, p_tenant, p_limit);
    select array_agg(locked.tid) as tids, array_agg(locked.run_id) as ids, array_agg(locked.tenant_id) as tenants,
           array_agg(locked.idempotency_key) as keys
    into v_heads
    from unnest(v_found.runs) as u(tid)
    cross join lateral (
        select r.ctid as tid, r.run_id, r.tenant_id, r.idempotency_key from runs r
        where r.ctid = u.tid and r.shard = p_shard and r.finished_at < v_old
        for update skip locked
    ) as locked
    -- under the lock: whoever retries a child run has it
    where not works_below(p_shard, locked.run_id);
    v_going := v_heads.ids || v_found.rests;
    select array_agg(locked.tid) as tids, array_agg(locked.run_id) as ids, array_agg(locked.ordinal) as ordinals,
           array_agg(locked.tenant_id) as tenants, count(*) filter (where locked.kind = 'intent') as intents
    into v_rows
    from (
        select u.tid, v_old as old from unnest(v_found.intents) as u(tid)
        union all
        select u.tid, 'infinity' from unnest(v_found.step_tids, v_found.step_runs) as u(tid, run_id) where u.run_id = any (v_going)
    ) as going
    cross join lateral (
        select s.ctid as tid, s.run_id, s.ordinal, s.tenant_id, s.kind from steps s
        where s.ctid = going.tid and s.shard = p_shard and s.finished_at < going.old
        for update skip locked
    ) as locked;

    select * into v_loose from find_loose_parts(p_shard, v_going || v_rows.ids, p_after, v_found.last_id, p_limit);
    if v_loose.is_all then
        next_after := v_found.next_after;
        -- what stays is passed over as a whole, what goes row by row
        next_ordinal := case when next_after = any (v_going) then v_found.next_ordinal else 2147483647 end;
    else
        -- edges, events or logs enough for a batch: the rows of steps wait for the next one
        v_rows.tids := null;
        v_rows.ids := null;
        v_rows.ordinals := null;
        v_rows.tenants := null;
        v_rows.intents := 0;
        next_after := p_after;
        next_ordinal := p_ordinal;
    end if;
    runs := coalesce(cardinality(v_heads.ids), 0);
    intents := v_rows.intents;
    select * into v_parts
    from find_parts(p_shard, v_heads.ids || v_rows.ids, array_fill(0, array[runs]) || v_rows.ordinals, v_heads.tenants || v_rows.tenants,
                    v_heads.keys, p_after, v_found.last_id);
    perform delete_rows(p_shard, v_heads.tids, v_rows.tids, v_parts.payloads, v_parts.keys, v_loose.edges, v_loose.events,
                        v_parts.attempts, v_parts.progress, v_parts.letters);
    perform delete_signals(p_shard, v_heads.ids, p_after, v_found.last_id);
    perform delete_history(p_shard, v_heads.ids, p_after, v_found.last_id);
    perform delete_correlations(p_shard, v_heads.ids || v_rows.ids, p_after, v_found.last_id);
    if cardinality(v_loose.logs) > 0 then
        perform delete_log_rows(p_shard, v_loose.logs);
    end if;
    return next;
end $$;
