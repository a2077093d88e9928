-- The tenant of what is submitted: that which is named ('' names none), else the one that the session acts for. Refuses tenants of others.
-- Locks: none. Index: tenant_logins_pkey.
create or replace function tributary.tenant_to_submit(p_tenant text) returns text
language plpgsql stable
set search_path to tributary, pg_temp
as $$
declare
    v_tenants text[] := session_tenants();
begin
    p_tenant := coalesce(p_tenant, '');
    if p_tenant <> '' then
        perform check_name('a tenant''s name', p_tenant);
    end if;
    if v_tenants is null or (p_tenant <> '' and p_tenant = any (v_tenants)) then
        return p_tenant;
    elsif p_tenant <> '' then
        raise exception '% acts for tenant %, not for %', quote_literal(invoker_name()), array_to_string(v_tenants, ', '), quote_literal(p_tenant)
            using errcode = '42501', hint = 'leave the tenant out, or log in as who acts for it; tributary.set_tenants binds logins';
    elsif cardinality(v_tenants) > 1 then
        raise exception '% acts for several tenants: %', quote_literal(invoker_name()), array_to_string(v_tenants, ', ')
            using errcode = 'TR001', hint = 'say for which this is: tenant =>, --tenant, or set tributary.tenant';
    end if;
    return v_tenants[1];
end $$;
