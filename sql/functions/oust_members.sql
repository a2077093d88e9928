-- Marks members of a group whose counter the caller holds, for promote_groups to cancel them: all that wait, and where p_limit is not null
-- the longest holders, so that one slot of p_limit comes free. Whoever is locked is leaving by itself.
-- Locks: members by SKIP LOCKED. Index: group_slots_by_group.
create or replace function tributary.oust_members(p_tenant text, p_group text, p_limit integer) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    update group_slots s set ousted = true
    where s.ctid = any (array(
        select w.ctid from group_slots w
        where w.tenant_id = p_tenant and w.name = p_group and w.state = 'waiting' and not w.ousted
        for update skip locked));
    if p_limit is not null then
        update group_slots s set ousted = true
        where s.ctid = any (array(
            select h.ctid from group_slots h
            where h.tenant_id = p_tenant and h.name = p_group and h.state = 'held' and not h.ousted
            order by h.rank
            limit greatest(0, 1 - p_limit + (select count(*) from group_slots n
                                             where n.tenant_id = p_tenant and n.name = p_group and n.state = 'held' and not n.ousted))
            for update skip locked));
    end if;
end $$;
