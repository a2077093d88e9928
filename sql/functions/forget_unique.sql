-- Forgets unique keys whose work has ended or is gone and whose period is over, among the p_limit behind a place in the order of the key.
-- Returns how many went, and the last place looked at; null where the shard has no more.
-- Locks: the keys' rows by SKIP LOCKED. Index: unique_keys_pkey, one window of it; work by its key.
create or replace function tributary.forget_unique(p_shard smallint, p_tenant text, p_name text, p_key text, p_limit integer)
returns table (forgotten integer, tenant text, name text, key text)
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
    v_now timestamptz := clock();
    v_seen record;
begin
    select count(*) as n, (array_agg(w.tenant_id))[count(*)] as tenant, (array_agg(w.name))[count(*)] as name,
           (array_agg(w.key))[count(*)] as key, array_agg(w.tid) filter (where w.over) as tids,
           array_agg(w.run_id) filter (where w.over) as ids, array_agg(w.taken_at) filter (where w.over) as times
    into v_seen
    from (
        select u.tid, u.tenant_id, u.name, u.key, u.run_id, u.taken_at,
               (u.until < v_now) is not false and coalesce(
                   (select r.finished_at is not null from runs r where r.shard = shard_of(u.run_id) and r.run_id = u.run_id),
                   (select s.finished_at is not null from steps s where s.shard = shard_of(u.run_id) and s.run_id = u.run_id and s.ordinal = 0),
                   true) as over
        from (
            select u.ctid as tid, u.* from unique_keys u
            where u.shard = p_shard and (u.tenant_id, u.name, u.key) > (p_tenant, p_name, p_key)
            order by u.tenant_id, u.name, u.key limit p_limit
        ) as u
    ) as w;
    delete from unique_keys u
    where u.ctid = any (array(
        select k.tid from unnest(v_seen.tids, v_seen.ids, v_seen.times) as t(tid, id, taken_at)
        cross join lateral (
            -- somebody may have taken it in this very moment
            select k.ctid as tid from unique_keys k
            where k.ctid = t.tid and k.shard = p_shard and k.run_id = t.id and k.taken_at = t.taken_at
            for update skip locked
        ) as k));
    get diagnostics forgotten = row_count;
    if v_seen.n >= p_limit then
        tenant := v_seen.tenant;
        name := v_seen.name;
        key := v_seen.key;
    end if;
    return next;
end $$;
