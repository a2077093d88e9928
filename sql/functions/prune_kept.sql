-- Prunes finished runs that are kept under p_name, of those behind p_after in the order of their ids: those that lie before p_from (see
-- kept_from) or that ended more than p_days ago, with all that belongs to them. A dead letter keeps its run until it is p_keep_letters
-- old, a root its children, a child that works its root. At least one run at a time, and further ones while they have p_limit steps together. p_act: false only counts.
-- Returns how many went, and where the next batch begins: null for nowhere.
-- Locks: runs in id order, by SKIP LOCKED: what somebody holds stays until the next sweep; then their steps, which nobody else
-- locks. Index: runs_kept; the rest by key.
create or replace function tributary.prune_kept(
    p_shard smallint, p_name text, p_after uuid, p_from uuid, p_days integer, p_keep_letters interval, p_limit integer, p_act boolean
) returns table (runs integer, next_after uuid)
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
#variable_conflict use_column
declare
    v_old timestamptz := clock() - make_interval(days => p_days);
    v_old_letter timestamptz := clock() - p_keep_letters;
    -- no run that is younger than its id's time can have ended before that
    v_end uuid := greatest(p_from, first_id(v_old));
    -- a run has two steps at least, as they are counted here, and most have more
    v_window integer := greatest(p_limit / 4, 1);
    v_seen integer;
    v_passed uuid;
    v_last uuid;
    v_tids tid[];
    v_heads record;
    v_rows record;
    v_loose record;
    v_parts record;
begin
    with seen as materialized (
        select r.ctid as tid, r.run_id, r.root_id, r.finished_at, r.next_ordinal from runs r
        -- as rows: see kept_from
        where r.shard = p_shard and r.keep_name is not null
          and (r.keep_name, r.run_id) > (p_name, p_after) and (r.keep_name, r.run_id) < (p_name, v_end)
        order by r.keep_name, r.run_id limit v_window
    ), fitting as materialized (
        select seen.*, row_number() over (order by seen.run_id) as place, sum(seen.next_ordinal) over (order by seen.run_id) as steps
        from seen
        left join lateral (
            select true as stays from dead_letters d
            where d.shard = p_shard and d.run_id between seen.run_id and seen.run_id and (v_old_letter < d.created_at) is not false
            order by d.run_id limit 1
        ) as letter on true
        left join lateral (
            select true as stays from runs r where seen.root_id <> seen.run_id and r.shard = p_shard and r.run_id = seen.root_id limit 1
        ) as root on true
        where (seen.root_id <> seen.run_id or seen.run_id < p_from or seen.finished_at < v_old)
          and seen.finished_at is not null and letter.stays is null and root.stays is null and not works_below(p_shard, seen.run_id)
    )
    select (select count(*) from seen), (select s.run_id from seen s order by s.run_id desc limit 1),
           array_agg(f.tid order by f.run_id) filter (where f.place = 1 or f.steps <= p_limit),
           case when bool_or(f.place > 1 and f.steps > p_limit)
                then (array_agg(f.run_id order by f.run_id desc) filter (where f.place = 1 or f.steps <= p_limit))[1] end
    into v_seen, v_passed, v_tids, v_last
    from fitting f;
    runs := coalesce(cardinality(v_tids), 0);
    -- what did not fit into this batch comes with the next
    next_after := case when v_last is not null then v_last when v_seen >= v_window then v_passed end;
    if not p_act or v_tids is null then
        return next;
        return;
    end if;
    select array_agg(locked.tid) as tids, array_agg(locked.run_id) as ids, array_agg(locked.tenant_id) as tenants,
           array_agg(locked.idempotency_key) as keys, min(locked.run_id::text)::uuid as first, max(locked.run_id::text)::uuid as last
    into v_heads
    from unnest(v_tids) as u(tid)
    cross join lateral (
        select r.ctid as tid, r.run_id, r.tenant_id, r.idempotency_key from runs r
        where r.ctid = u.tid and r.shard = p_shard and r.finished_at is not null
        for update skip locked
    ) as locked
    -- under the lock: whoever retries a child run has it
    where not works_below(p_shard, locked.run_id);
    runs := coalesce(cardinality(v_heads.ids), 0);
    select array_agg(found.tid) as tids, array_agg(found.run_id) as ids, array_agg(found.ordinal) as ordinals, array_agg(found.tenant_id) as tenants
    into v_rows
    from unnest(v_heads.ids) as u(id)
    cross join lateral (
        select s.ctid as tid, s.run_id, s.ordinal, s.tenant_id from steps s where s.shard = p_shard and s.run_id = u.id offset 0
    ) as found;
    select * into v_loose from find_loose_parts(p_shard, v_heads.ids, v_heads.first, v_heads.last, 2147483647);
    select * into v_parts
    from find_parts(p_shard, v_heads.ids || v_rows.ids, array_fill(0, array[runs]) || v_rows.ordinals, v_heads.tenants || v_rows.tenants,
                    v_heads.keys, v_heads.first, v_heads.last);
    perform delete_rows(p_shard, v_heads.tids, v_rows.tids, v_parts.payloads, v_parts.keys, v_loose.edges, v_loose.events,
                        v_parts.attempts, v_parts.progress, v_parts.letters);
    perform delete_signals(p_shard, v_heads.ids, v_heads.first, v_heads.last);
    perform delete_history(p_shard, v_heads.ids, v_heads.first, v_heads.last);
    perform delete_correlations(p_shard, v_heads.ids, v_heads.first, v_heads.last);
    if cardinality(v_loose.logs) > 0 then
        perform delete_log_rows(p_shard, v_loose.logs);
    end if;
    return next;
end $$;
