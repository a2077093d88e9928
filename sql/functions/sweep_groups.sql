-- The leader's backstop: whatever has become of a member of a group without its leaving, its slot comes free, and who waits gets it.
-- Looks at the p_limit groups behind p_after (tenant, name), null for the first ones; returns the last of them, null at the end. Locks: as promote_group. Index: groups_pkey, group_slots_by_group.
create or replace function tributary.sweep_groups(p_limit integer, p_after text[]) returns text[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_group record;
    v_last text[];
    v_seen integer := 0;
begin
    for v_group in
        select g.tenant_id, g.name from groups g
        where p_after is null or (g.tenant_id, g.name) > (p_after[1], p_after[2])
        order by g.tenant_id, g.name limit p_limit
    loop
        perform promote_group(v_group.tenant_id, v_group.name);
        v_last := array[v_group.tenant_id, v_group.name];
        v_seen := v_seen + 1;
    end loop;
    return case when v_seen >= p_limit then v_last end;
end $$;
