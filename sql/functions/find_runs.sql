-- Child runs are not listed: they are seen from the step that started them.
-- Walks back along the key over at most p_window runs of a shard, from before p_after to p_floor, and returns those that fit, newest first.
-- At the end of a full window comes the id it has reached, with ended set: who wants more asks for what lies before it.
create or replace function tributary.find_runs(
    p_shard smallint, p_after uuid, p_floor uuid, p_state run_state, p_name text, p_tenant text, p_labels jsonb, p_since timestamptz,
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
    v_stretch integer;
    v_after uuid := p_after;
    v_left integer := p_window;
    v_wanted integer := p_limit;
    v_count integer;
    v_ids uuid[];
begin
    loop
        v_stretch := least(500, v_left);
        select count(*), (array_agg(k.run_id))[count(*)], array_agg(k.run_id) filter (where k.fits)
        into v_count, v_after, v_ids
        from (
            select r.run_id,
                   (p_state is null or r.state = p_state) and r.parent_run_id is null and (p_name is null or r.name = p_name)
                   and (p_tenant is null or r.tenant_id = p_tenant) and (p_labels is null or r.labels @> p_labels)
                   and (p_since is null or r.created_at >= p_since) as fits
            from runs r
            where r.shard = p_shard and r.run_id < v_after and r.run_id >= p_floor
            order by r.run_id desc limit v_stretch
        ) as k;
        return query select u.id, true, false from unnest(v_ids[:v_wanted]) as u(id);
        v_wanted := v_wanted - coalesce(cardinality(v_ids), 0);
        v_left := v_left - v_count;
        exit when v_wanted <= 0 or v_count < v_stretch;
        if v_left <= 0 then
            return query select v_after, false, true;
            exit;
        end if;
    end loop;
end $$;
