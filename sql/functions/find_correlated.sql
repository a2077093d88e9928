-- Runs and intents that carry all of the given ids, newest first, before p_after; null restricts nothing, but one is given. The settings leave one
-- plan: back along the index of the first that is, whatever the planner believes about how many carry it.
-- Locks: none. Index: correlations_by_trace, correlations_by_id or correlations_by_business.
create or replace function tributary.find_correlated(
    p_trace text, p_correlation text, p_business text, p_tenant text, p_after uuid, p_limit integer
) returns setof uuid
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
begin
    if p_trace is not null then
        return query
            select c.run_id from correlations c
            where c.traceparent is not null and substr(c.traceparent, 4, 32) = p_trace and c.run_id < p_after
              and (p_correlation is null or c.correlation_id = p_correlation) and (p_business is null or c.business_id = p_business)
              and (p_tenant is null or c.tenant_id = p_tenant)
            order by c.run_id desc limit p_limit;
    elsif p_correlation is not null then
        return query
            select c.run_id from correlations c
            where c.correlation_id = p_correlation and c.run_id < p_after
              and (p_business is null or c.business_id = p_business) and (p_tenant is null or c.tenant_id = p_tenant)
            order by c.run_id desc limit p_limit;
    else
        return query
            select c.run_id from correlations c
            where c.business_id = p_business and c.run_id < p_after and (p_tenant is null or c.tenant_id = p_tenant)
            order by c.run_id desc limit p_limit;
    end if;
end $$;
