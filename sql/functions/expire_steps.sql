-- Cancels up to p_limit intents and runs that have not started by the time at which they expire, reason expired. A claim passes them over
-- already. A run expires as a whole; of one that has started, steps that wait expire no more. Returns how many rows it has settled.
-- Locks: runs by SKIP LOCKED, then steps. Index: steps_expiring; one probe where nobody's work expires.
create or replace function tributary.expire_steps(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
declare
    v_now timestamptz := clock();
    v_ids uuid[];
    v_run_ids uuid[];
    v_tids tid[];
    v_id uuid;
    v_count integer := 0;
begin
    select array_agg(late.run_id) filter (where late.kind = 'intent'), array_agg(distinct late.run_id) filter (where late.kind <> 'intent')
    into v_ids, v_run_ids
    from (
        select s.run_id, s.kind from steps s
        where s.shard = p_shard and s.expires_at <= v_now and s.expires_at is not null and s.attempt = 0
          and s.state in ('blocked', 'scheduled', 'available', 'waiting')
        order by s.expires_at limit p_limit
    ) as late;
    foreach v_id in array coalesce(v_run_ids, '{}') loop
        perform from runs r where r.shard = p_shard and r.run_id = v_id for update skip locked;
        continue when not found;
        v_count := v_count + 1;
        if has_not_started(v_id) then
            perform cancel(v_id, 'expired');
        else
            update steps s set expires_at = null where s.shard = p_shard and s.run_id = v_id and s.expires_at is not null and s.state <> 'running';
        end if;
    end loop;
    if v_ids is null then
        return v_count;
    end if;
    v_tids := array(
        select locked.tid from unnest(v_ids) as u(id)
        cross join lateral (
            -- by the key alone: with the state in here, the index of what expires would be read for each of them
            select s.ctid as tid, s.state, s.attempt, s.expires_at from steps s
            where s.shard = p_shard and s.run_id = u.id and s.ordinal = 0
            for update skip locked offset 0
        ) as locked
        where locked.expires_at <= v_now and locked.attempt = 0 and locked.state in ('scheduled', 'available', 'waiting'));
    perform write_expired(p_shard, v_tids, v_now);
    perform tell_waiters(p_shard, v_ids);
    return v_count + cardinality(v_tids);
end $$;
