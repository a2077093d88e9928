-- Gives the free slots of one group to who has waited longest; returns how many. False hopes are removed: who has ended meanwhile. Where
-- the first in line cannot be reached at this moment the group stays unsettled, and nobody overtakes. A group without members is gone.
-- Locks: the group's counter by SKIP LOCKED, members and what they stand for likewise. Index: groups_pkey, group_slots_by_group.
create or replace function tributary.promote_group(p_tenant text, p_group text) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_slots integer;
    v_held integer;
    v_first record;
    v_now timestamptz;
    v_how text;
    v_given integer := 0;
    v_busy boolean := false;
begin
    select g.slots into v_slots from groups g where g.tenant_id = p_tenant and g.name = p_group for update skip locked;
    if not found then
        return 0;
    end if;
    perform free_group(p_tenant, p_group);
    select count(*) into v_held from group_slots s where s.tenant_id = p_tenant and s.name = p_group and s.state = 'held';
    while v_held < v_slots loop
        select s.ctid as tid, s.shard, s.run_id, s.ordinal into v_first
        from group_slots s
        where s.tenant_id = p_tenant and s.name = p_group and s.state = 'waiting' and not s.ousted
        order by s.rank limit 1;
        exit when not found;
        -- whoever has it locked is leaving
        perform from group_slots s where s.ctid = v_first.tid and s.shard = v_first.shard for update skip locked;
        v_how := case when found then release_member(v_first.shard, v_first.run_id, v_first.ordinal, clock()) else 'busy' end;
        if v_how = 'busy' then
            v_busy := true;
            exit;
        elsif v_how = 'gone' then
            delete from group_slots s where s.ctid = v_first.tid and s.shard = v_first.shard;
        else
            v_now := clock();
            update group_slots s set state = 'held', held_at = v_now where s.ctid = v_first.tid and s.shard = v_first.shard;
            v_held := v_held + 1;
            v_given := v_given + 1;
        end if;
    end loop;
    if not exists (select from group_slots s where s.tenant_id = p_tenant and s.name = p_group) then
        delete from groups g where g.tenant_id = p_tenant and g.name = p_group;
    else
        update groups g set unsettled = v_busy where g.tenant_id = p_tenant and g.name = p_group and g.unsettled <> v_busy;
    end if;
    return v_given;
end $$;
