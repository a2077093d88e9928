-- Whether a run or an intent belongs to a tenant that the session acts for: true for all where it acts for all, whether they exist or not.
-- Functions of the owner ask it where row-level security does not. Locks: none. Index: runs_pkey, steps_pkey.
create or replace function tributary.sees_work(p_id uuid) returns boolean
language plpgsql stable
set search_path to tributary, pg_temp
as $$
declare
    v_tenants text[] := session_tenants();
    v_shard smallint;
begin
    if v_tenants is null then
        return true;
    end if;
    v_shard := shard_of(p_id);
    -- where there is a run it decides alone
    return coalesce((select r.tenant_id = any (v_tenants) from runs r where r.shard = v_shard and r.run_id = p_id),
                    (select s.tenant_id = any (v_tenants) from steps s
                     where s.shard = v_shard and s.run_id = p_id and s.ordinal = 0 and s.kind = 'intent'), false);
end $$;
