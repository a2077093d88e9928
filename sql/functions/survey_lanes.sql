-- find_lanes, and what a worker has to know of limits (limits_on): a limited queue without available rows comes as a row without a lane, and so
-- does a tenant that has some. Index: as find_lanes and limits_on.
create or replace function tributary.survey_lanes(p_shard smallint, p_queues text[], p_limit integer)
returns table (queue text, priority smallint, tenant_id text, first_seq bigint, limited boolean, opens_in float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
        with lanes as materialized (
            select * from find_lanes(p_shard, p_queues, p_limit)
        ), held as materialized (
            select * from limits_on(p_queues, array(select distinct n.tenant_id from lanes n where n.queue not like '~%'))
        )
        select coalesce(l.queue, k.name), l.priority, l.tenant_id, l.first_seq, coalesce(k.limited, false),
               case when k.name is null then 0 else k.opens_in end
        from lanes as l
        full join held as k on k.name = l.queue;
end $$;
