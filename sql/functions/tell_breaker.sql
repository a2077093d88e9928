-- Tells a circuit breaker how an attempt has ended: well, badly, or neither (p_good null: put off, cancelled). p_failures within p_window seconds
-- open it for p_wait seconds; p_probes probes that ended well close it, one that ended badly opens it again. p_token is that of a probe, null for
-- other attempts, whose failures count while it is closed. Returns 'opened' or 'closed' for what that has changed. Locks: the breaker's row.
create or replace function tributary.tell_breaker(
    p_tenant text, p_name text, p_good boolean, p_token bigint, p_failures integer, p_window float8, p_wait float8, p_probes integer
) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_breaker record;
    v_failed timestamptz[];
    v_now timestamptz := clock();
begin
    if p_token is null then
        if p_good is distinct from false then
            return null;
        end if;
        insert into circuit_breakers (tenant_id, name, state, updated_at) values (p_tenant, p_name, 'closed', v_now)
        on conflict on constraint circuit_breakers_pkey do nothing;
        if found then
            -- those of keys that are never seen again; a day is longer than any window
            delete from circuit_breakers b
            where b.ctid = any (array(select o.ctid from circuit_breakers o
                                      where o.updated_at < v_now - interval '1 day' and o.state = 'closed'
                                      order by o.updated_at limit 20 for update skip locked));
        end if;
    end if;
    select * into v_breaker from circuit_breakers b where b.tenant_id = p_tenant and b.name = p_name for update;
    v_now := clock();
    if v_breaker.state = 'closed' and p_token is null then
        v_failed := array(select f.at from unnest(v_breaker.failed_at || v_now) as f(at)
                          where f.at > v_now - make_interval(secs => p_window) order by f.at desc limit p_failures);
        if cardinality(v_failed) < p_failures then
            update circuit_breakers b set failed_at = v_failed, updated_at = v_now where b.tenant_id = p_tenant and b.name = p_name;
            return null;
        end if;
    elsif v_breaker.state is distinct from 'half_open' or p_token is distinct from v_breaker.probing then
        -- of a time that is over
        return null;
    elsif p_good is null then
        update circuit_breakers b set probes = b.probes - 1, updated_at = v_now where b.tenant_id = p_tenant and b.name = p_name;
        return null;
    elsif p_good and v_breaker.succeeded + 1 >= p_probes then
        delete from circuit_breakers b where b.tenant_id = p_tenant and b.name = p_name;
        return 'closed';
    elsif p_good then
        update circuit_breakers b set succeeded = b.succeeded + 1, updated_at = v_now where b.tenant_id = p_tenant and b.name = p_name;
        return null;
    end if;
    update circuit_breakers b
    set state = 'open', failed_at = '{}', retry_at = v_now + make_interval(secs => p_wait), updated_at = v_now
    where b.tenant_id = p_tenant and b.name = p_name;
    return 'opened';
end $$;
