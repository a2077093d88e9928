-- What find_intents does, for a state that few intents are in: looks at no others.
-- The order asked for leaves one index: with the state as an equal, the key would give that order too, over all of history.
create or replace function tributary.find_unusual_intents(
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
begin
    return query
        select w.run_id, w.fits, w.place = p_window
        from (
            select s.state, s.run_id, row_number() over (order by s.state desc, s.run_id desc) as place,
                   (p_name is null or s.name = p_name) and (p_tenant is null or s.tenant_id = p_tenant)
                   and (p_since is null or s.created_at >= p_since) as fits
            from (
                select * from steps k
                where k.shard = p_shard and k.kind = 'intent' and k.state not in ('available', 'running', 'completed')
                  and (k.state, k.run_id) < (p_state, p_after) and (k.state, k.run_id) >= (p_state, p_floor)
                order by k.state desc, k.run_id desc limit p_window
            ) as s
        ) as w
        where w.fits or w.place = p_window
        order by w.state desc, w.run_id desc limit p_limit;
end $$;
