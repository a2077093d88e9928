-- Removes members of a group that have ended without leaving it, which their own rows prove; the caller holds the group's counter.
-- Returns how many slots that freed. Locks: members by SKIP LOCKED. Index: group_slots_by_group, runs_pkey, steps_pkey.
create or replace function tributary.free_group(p_tenant text, p_group text) returns integer
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
    v_freed integer;
begin
    with gone as (
        delete from group_slots s
        where s.ctid = any (array(
            select m.ctid
            from group_slots m
            left join lateral (
                select r.state from runs r where m.ordinal < 0 and r.shard = m.shard and r.run_id = m.run_id offset 0
            ) as run on true
            left join lateral (
                select t.finished_at, true as found from steps t
                where m.ordinal >= 0 and t.shard = m.shard and t.run_id = m.run_id and t.ordinal = m.ordinal offset 0
            ) as step on true
            where m.tenant_id = p_tenant and m.name = p_group
              and (m.state = 'left'
                   or case when m.ordinal < 0 then run.state is null or run.state not in ('running', 'paused')
                           else step.found is null or step.finished_at is not null end)
            for update of m skip locked))
        returning s.state
    )
    select count(*) filter (where g.state = 'held') into v_freed from gone g;
    return v_freed;
end $$;
