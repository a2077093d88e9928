-- What a worker has to know of these queues that are paused or limited, and of those of these tenants that have a limit, by its key (limit_of):
-- opens_in as queue_opens has it, null while paused. Index: queues_pkey, tenants_pkey.
create or replace function tributary.limits_on(p_queues text[], p_tenants text[])
returns table (name text, limited boolean, opens_in float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
begin
    return query
        select q.name, q.concurrency is not null or q.rate is not null, case when not q.paused then queue_opens(q.name) end
        from queues q
        where q.name = any (p_queues) and (q.paused or q.concurrency is not null or q.rate is not null)
        union all
        select 'tenant:' || t.tenant_id, true, queue_opens('tenant:' || t.tenant_id)
        from tenants t
        where t.tenant_id = any (p_tenants);
end $$;
