-- Where the rows are that belong to these rows of steps, or as ordinal 0 to these runs: looked up by key, one by one. p_keys: idempotency
-- keys of the first of them, where a run has it in its own row. All ids lie from p_first to p_last, see find_loose_parts.
create or replace function tributary.find_parts(p_shard smallint, p_ids uuid[], p_ordinals integer[], p_tenants text[], p_keys text[], p_first uuid, p_last uuid)
returns table (payloads tid[], keys tid[], attempts tid[], progress tid[], letters tid[])
language plpgsql stable
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
    v_keys text[];
begin
    select array_agg(p.tid), array_agg(coalesce(u.key, p.idempotency_key)) into payloads, v_keys
    from unnest(p_ids, p_ordinals, p_keys) as u(id, ordinal, key)
    left join lateral (
        select p.ctid as tid, p.idempotency_key from payloads p where p.shard = p_shard and p.run_id = u.id and p.ordinal = u.ordinal offset 0
    ) as p on true;
    keys := array(
        select k.tid from unnest(p_ids, p_tenants, v_keys) as u(id, tenant_id, key)
        cross join lateral (
            select k.ctid as tid, k.run_id from keys k where k.shard = p_shard and k.tenant_id = u.tenant_id and k.key = u.key offset 0
        ) as k
        where u.key is not null and k.run_id = u.id);
    attempts := array(
        select a.tid from unnest(p_ids, p_ordinals) as u(id, ordinal)
        cross join lateral (
            select a.ctid as tid from attempts a where a.shard = p_shard and a.run_id = u.id and a.ordinal = u.ordinal offset 0
        ) as a
        where (select true from attempts a where a.shard = p_shard and a.run_id between p_first and p_last order by a.run_id limit 1));
    progress := array(
        select p.tid from unnest(p_ids, p_ordinals) as u(id, ordinal)
        cross join lateral (
            select p.ctid as tid from progress p where p.shard = p_shard and p.run_id = u.id and p.ordinal = u.ordinal offset 0
        ) as p
        where (select true from progress p where p.shard = p_shard and p.run_id between p_first and p_last order by p.run_id limit 1));
    letters := array(
        select d.tid from unnest(p_ids, p_ordinals) as u(id, ordinal)
        cross join lateral (
            select d.ctid as tid from dead_letters d
            where d.shard = p_shard and d.run_id between u.id and u.id and d.ordinal = u.ordinal order by d.run_id offset 0
        ) as d
        where (select true from dead_letters d where d.shard = p_shard and d.run_id between p_first and p_last order by d.run_id limit 1));
    return next;
end $$;
