-- Whether an attempt may pass a circuit breaker: 'closed', 'open' (again in opens_in seconds) or 'half_open': it is one of at most p_probes
-- probes, and says with this token how it ended. After p_wait seconds probes that have said nothing count no more. Locks: the breaker's
-- row, unless it is closed or still open.
create or replace function tributary.ask_breaker(p_tenant text, p_name text, p_wait float8, p_probes integer)
returns table (state text, opens_in float8, token bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_breaker record;
    v_now timestamptz := clock();
    v_token bigint;
begin
    select * into v_breaker from circuit_breakers b where b.tenant_id = p_tenant and b.name = p_name;
    if not found or v_breaker.state = 'closed' then
        return query select 'closed', null::float8, null::bigint;
        return;
    elsif v_breaker.state = 'half_open' or v_breaker.retry_at <= v_now then
        select * into v_breaker from circuit_breakers b where b.tenant_id = p_tenant and b.name = p_name for update;
        if not found or v_breaker.state = 'closed' then
            return query select 'closed', null::float8, null::bigint;
            return;
        end if;
        v_now := clock();
        v_token := (extract(epoch from v_now) * 1000000)::bigint;
        if v_breaker.retry_at <= v_now then
            update circuit_breakers b
            set state = 'half_open', probing = v_token, probes = 1, succeeded = 0,
                retry_at = v_now + make_interval(secs => p_wait), updated_at = v_now
            where b.tenant_id = p_tenant and b.name = p_name;
            return query select 'half_open', null::float8, v_token;
            return;
        elsif v_breaker.state = 'half_open' and v_breaker.probes < p_probes then
            update circuit_breakers b set probes = b.probes + 1, updated_at = v_now where b.tenant_id = p_tenant and b.name = p_name;
            return query select 'half_open', null::float8, v_breaker.probing;
            return;
        end if;
    end if;
    -- while it is half-open others look again soon: the probes may close it at any moment
    return query
    select 'open', least(extract(epoch from v_breaker.retry_at - v_now)::float8,
                         case when v_breaker.state = 'half_open' then greatest(1, p_wait / 10) end), null::bigint;
end $$;
