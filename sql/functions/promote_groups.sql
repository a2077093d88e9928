-- Gives slots of groups that came free to who has waited longest, in up to p_limit groups, and cancels a member that a newer one has ousted:
-- one in a call, so that nothing of a run is waited for while a counter is held. Housekeeping of short claims, as promote is; returns how
-- many of both there were. Costs three probes where there is no news. Locks: root runs, steps and counters by SKIP LOCKED. Index: group_slots_news, groups_unsettled.
create or replace function tributary.promote_groups(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_member record;
    v_group record;
    v_given integer := 0;
begin
    for v_member in
        select s.run_id, s.ordinal from group_slots s
        where s.shard = p_shard and (s.state = 'left' or s.ousted) and s.ousted
          -- a holder that is cancelled already keeps its slot until its hooks have ended
          and not (s.state = 'held' and s.ordinal < 0
                   and exists (select from runs r where r.shard = p_shard and r.run_id = s.run_id and r.ending = 'cancelled'))
        limit 1
    loop
        v_given := v_given + 1;
        perform oust_member(p_shard, v_member.run_id, v_member.ordinal);
    end loop;
    for v_group in
        (select distinct news.tenant_id, news.name
         from (select s.tenant_id, s.name from group_slots s
               where s.shard = p_shard and (s.state = 'left' or s.ousted) and s.state = 'left' limit p_limit) as news)
        union
        (select g.tenant_id, g.name from groups g where g.unsettled limit p_limit)
    loop
        v_given := v_given + promote_group(v_group.tenant_id, v_group.name);
    end loop;
    return v_given;
end $$;
