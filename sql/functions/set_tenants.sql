-- Public. Binds a login to tenants: it sees and reaches their work alone, submits for them alone, and need not say so where it is one. Holds
-- for its open sessions, too, from the commit on. null for tenants unbinds it: it acts for all again, or for whom it sets. A login that may write the
-- tables (a worker's, an admin's, the owner's), also by SET ROLE, is not held by it, so it is refused. Returns the tenants. Raises TR001, TR003. Locks: the login's row.
create or replace function tributary.set_tenants(login text, tenants text[]) returns text[]
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_tenant text;
begin
    if tenants is null then
        delete from tenant_logins l where l.login = set_tenants.login;
        return null;
    elsif cardinality(tenants) = 0 then
        raise exception 'a login acts for one tenant at least' using errcode = 'TR001', hint = 'null unbinds it; revoke its roles to shut it out';
    elsif not exists (select from pg_roles r where r.rolname = login and r.rolcanlogin) then
        raise exception 'there is no login %', quote_literal(login)
            using errcode = 'TR003', hint = 'create it first: CREATE ROLE … LOGIN; a group binds none of its members';
    elsif exists (select from pg_roles r where pg_has_role(login, r.oid, 'member') and has_table_privilege(r.oid, 'tributary.steps', 'insert')) then
        raise exception 'login % may write the tables, as a worker or an admin: no tenant holds it', quote_literal(login)
            using errcode = 'TR001', hint = 'bind logins that are members of the roles for applications, submitters and readers';
    end if;
    foreach v_tenant in array tenants loop
        if v_tenant is null or v_tenant <> '' then
            perform check_name('a tenant''s name', v_tenant);
        end if;
    end loop;
    insert into tenant_logins as l (login, tenants)
    values (login, array(select distinct t from unnest(tenants) as t order by t))
    on conflict on constraint tenant_logins_pkey do update set tenants = excluded.tenants
    returning l.tenants into tenants;
    return tenants;
end $$;
