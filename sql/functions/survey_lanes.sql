-- find_lanes, and what a worker has to know of queues that are paused or limited and of tenants with a limit: opens_in as queue_opens has
-- it, null while paused. A limited queue without available rows comes as a row without a lane, and so does a tenant, by its key (limit_of). Index: as find_lanes; queues is read as a whole, a small table; tenants_pkey.
create or replace function tributary.survey_lanes(p_shard smallint, p_queues text[], p_limit integer)
returns table (queue text, priority smallint, tenant_id text, first_seq bigint, limited boolean, opens_in float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_names text[];
    v_limited boolean[];
    v_opens float8[];
begin
    select array_agg(q.name), array_agg(q.concurrency is not null or q.rate is not null),
           array_agg(case when not q.paused then queue_opens(q.name) end)
    into v_names, v_limited, v_opens
    from queues q
    where q.name = any (p_queues) and (q.paused or q.concurrency is not null or q.rate is not null);
    if v_names is null and not exists (select from tenants) then
        return query select l.queue, l.priority, l.tenant_id, l.first_seq, false, 0::float8 from find_lanes(p_shard, p_queues, p_limit) as l;
        return;
    end if;
    return query
        with lanes as materialized (
            select * from find_lanes(p_shard, p_queues, p_limit)
        ), held as materialized (
            select k.name, k.limited, k.opens_in from unnest(v_names, v_limited, v_opens) as k(name, limited, opens_in)
            union all
            select 'tenant:' || t.tenant_id, true, queue_opens('tenant:' || t.tenant_id) from tenants t
            where t.tenant_id in (select n.tenant_id from lanes n where n.queue not like '~%')
        )
        select coalesce(l.queue, k.name), l.priority, l.tenant_id, l.first_seq, coalesce(k.limited, false),
               case when k.name is null then 0 else k.opens_in end
        from lanes as l
        full join held as k on k.name = l.queue;
end $$;
