-- What find_intents does, for intents that are ready or run: their own indexes know them all, in another order. Where these are too many
-- to be sorted, the newest are looked for along the key.
-- The orders asked for leave one index each.
create or replace function tributary.find_live_intents(
    p_shard smallint, p_after uuid, p_floor uuid, p_state step_state, p_name text, p_tenant text, p_since timestamptz,
    p_limit integer, p_window integer
) returns table (run_id uuid, fits boolean, ended boolean)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    -- a busy fleet holds thousands; of a long backlog the newest are mostly ready, and found at once
    v_most integer := case when p_state = 'running' then 10000 else 4000 end;
    v_count integer;
    v_ids uuid[];
begin
    if p_state = 'running' then
        select count(*), array_agg(k.run_id) filter (where k.fits) into v_count, v_ids
        from (
            select s.run_id,
                   s.kind = 'intent' and s.run_id < p_after and s.run_id >= p_floor and (p_name is null or s.name = p_name)
                   and (p_tenant is null or s.tenant_id = p_tenant) and (p_since is null or s.created_at >= p_since) as fits
            from steps s
            where s.shard = p_shard and s.state = 'running'
            order by s.process_id limit v_most + 1
        ) as k;
    else
        select count(*), array_agg(k.run_id) filter (where k.fits) into v_count, v_ids
        from (
            select s.run_id,
                   s.kind = 'intent' and s.run_id < p_after and s.run_id >= p_floor and (p_name is null or s.name = p_name)
                   and (p_tenant is null or s.tenant_id = p_tenant) and (p_since is null or s.created_at >= p_since) as fits
            from steps s
            where s.shard = p_shard and s.state = 'available'
            order by s.queue, s.priority desc, s.tenant_id, s.seq limit v_most + 1
        ) as k;
    end if;
    if v_count > v_most then
        return query select f.* from find_intents(p_shard, p_after, p_floor, p_state, p_name, p_tenant, p_since, p_limit, p_window) as f;
    else
        return query select u.id, true, false from unnest(v_ids) as u(id) order by u.id desc limit p_limit;
    end if;
end $$;
