-- Locks the counters of concurrency groups that a transaction is going to enter, in their order (tenant, group): who enters several would
-- otherwise meet others that enter the same ones in another order. A group that nobody is in yet is made; the sweep takes it away again.
-- Locks: the groups' counters. The caller holds the root runs' locks, and waits for no other. Index: groups_pkey.
create or replace function tributary.lock_groups(p_tenants text[], p_names text[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
begin
    insert into groups as g (tenant_id, name, slots)
    select u.tenant_id, u.name, 1
    from (select distinct tenant_id, name from unnest(p_tenants, p_names) as t(tenant_id, name) where name <> '') as u
    order by u.tenant_id collate "C", u.name collate "C"
    on conflict (tenant_id, name) do update set slots = g.slots;
end $$;
