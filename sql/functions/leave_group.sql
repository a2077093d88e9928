-- A step has ended, or with p_ordinal null a run and all of its steps: their slots are free. It only says so; promote_groups gives them
-- to who waits, in another transaction, and a worker that could run the first of those is woken. True if it had entered any group.
-- Locks: its own members. Index: group_slots_pkey, group_slots_by_group.
create or replace function tributary.leave_group(p_shard smallint, p_run_id uuid, p_ordinal integer) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_tenants text[];
    v_names text[];
    v_waited boolean;
begin
    -- a holder stays as a note for promote_groups; who only waited is gone
    delete from group_slots s
    where s.shard = p_shard and s.run_id = p_run_id and (p_ordinal is null or s.ordinal = p_ordinal) and s.state = 'waiting';
    v_waited := found;
    with freed as (
        update group_slots s set state = 'left', ousted = false
        where s.shard = p_shard and s.run_id = p_run_id and (p_ordinal is null or s.ordinal = p_ordinal) and s.state = 'held'
        returning s.tenant_id, s.name
    )
    select array_agg(f.tenant_id), array_agg(f.name) into v_tenants, v_names from freed f;
    if v_names is null then
        return v_waited;
    end if;
    perform wake(array(
        select distinct held.queue
        from unnest(v_tenants, v_names) as u(tenant_id, name)
        cross join lateral (
            select w.shard, w.run_id, w.ordinal from group_slots w
            where w.tenant_id = u.tenant_id and w.name = u.name and w.state = 'waiting' and not w.ousted
            order by w.rank limit 1
        ) as first
        cross join lateral (
            select t.queue from steps t
            where t.shard = first.shard and t.run_id = first.run_id and t.state = 'waiting' and t.reason = 'group'
              and (first.ordinal < 0 or t.ordinal = first.ordinal)
            limit 1
        ) as held));
    return true;
end $$;
