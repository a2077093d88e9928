-- A run (p_ordinal null) or a step asks for a slot of a concurrency group: held, queued or rejected. Who has entered before keeps what it
-- has, so attempts after a rescue or a retry run under the same slot. What belongs to a holder (its steps, its child runs, theirs) has it,
-- too, and no slot of its own. p_on_limit where no slot is free: queue; reject; cancel_pending
-- (all that wait are to be cancelled, this one waits); cancel_running (those, and the longest holder where that is needed). Cancelled
-- are they by promote_groups, in a transaction of its own; until then nobody has their slots. Only groups are written here, neither runs
-- nor steps. Who enters several groups in one transaction does so in the order of (tenant, group).
-- Locks: the group's counter; members by SKIP LOCKED. Index: groups_pkey, group_slots_pkey, group_slots_by_group.
create or replace function tributary.enter_group(
    p_shard smallint, p_tenant text, p_group text, p_limit integer, p_on_limit text, p_run_id uuid, p_ordinal integer
) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_ordinal integer := coalesce(p_ordinal, -1);
    v_own group_slots;
    v_held integer;
    v_waits boolean;
    v_now timestamptz;
    v_state text;
begin
    perform check_name('a concurrency group''s name', p_group);
    if p_limit is null or p_limit < 1 then
        raise exception 'concurrency group % cannot have % slots', quote_literal(p_group), coalesce(p_limit::text, 'null')
            using errcode = 'TR001', hint = 'limit: 1 or more';
    elsif p_on_limit is null or p_on_limit not in ('queue', 'cancel_pending', 'cancel_running', 'reject') then
        raise exception 'unknown on_limit %', quote_nullable(p_on_limit)
            using errcode = 'TR001', hint = 'use queue, cancel_pending, cancel_running or reject';
    end if;
    insert into groups as g (tenant_id, name, slots) values (p_tenant, p_group, p_limit)
    on conflict (tenant_id, name) do update set slots = excluded.slots;
    v_now := clock();
    select * into v_own from group_slots s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = v_ordinal;
    if found and v_own.state <> 'left' and v_own.tenant_id = p_tenant and v_own.name = p_group then
        return case v_own.state when 'held' then 'held' else 'queued' end;
    elsif found then
        -- it ended and begins anew, or asks for another group now
        delete from group_slots s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = v_ordinal;
        if v_own.name <> p_group or v_own.tenant_id <> p_tenant then
            -- the other counter may not be locked here: whoever has it locked is at its members anyway
            update groups g set unsettled = true
            where g.ctid = any (array(select o.ctid from groups o where o.tenant_id = v_own.tenant_id and o.name = v_own.name for update skip locked));
        end if;
    end if;
    if holds_group(p_shard, p_tenant, p_group, p_run_id, p_ordinal) then
        return 'held';
    end if;

    select count(*) into v_held from group_slots s where s.tenant_id = p_tenant and s.name = p_group and s.state = 'held';
    if v_held >= p_limit then
        v_held := v_held - free_group(p_tenant, p_group);
    end if;
    if p_on_limit in ('cancel_pending', 'cancel_running') then
        perform oust_members(p_tenant, p_group, case when p_on_limit = 'cancel_running' and v_held >= p_limit then p_limit end);
    end if;
    v_waits := exists (select from group_slots s where s.tenant_id = p_tenant and s.name = p_group and s.state = 'waiting' and not s.ousted);
    if v_held < p_limit and not v_waits then
        v_state := 'held';
    elsif p_on_limit = 'reject' then
        v_state := 'rejected';
    else
        v_state := 'waiting';
    end if;
    if v_held < p_limit and v_waits then
        -- a slot is free and its heir is not told yet: whatever was known of it may have been this member's own
        update groups g set unsettled = true where g.tenant_id = p_tenant and g.name = p_group and not g.unsettled;
    end if;
    if v_state <> 'rejected' then
        insert into group_slots (run_id, rank, entered_at, held_at, ordinal, shard, state, tenant_id, name)
        values (p_run_id,
                greatest(clock_us(), (select max(s.rank) + 1 from group_slots s where s.tenant_id = p_tenant and s.name = p_group and s.state = v_state)),
                v_now, case when v_state = 'held' then v_now end, v_ordinal, p_shard, v_state, p_tenant, p_group);
    end if;
    return case v_state when 'waiting' then 'queued' else v_state end;
end $$;
