-- survey_lanes for who knows lanes already, with its watermarks: what find_new_lanes finds, and the same of limits, those of known tenants as well.
-- Index: as find_new_lanes and limits_on.
create or replace function tributary.survey_news(
    p_shard smallint, p_queues text[], p_known text[], p_priorities smallint[], p_tenants text[], p_lows bigint[]
) returns table (queue text, priority smallint, tenant_id text, first_seq bigint, limited boolean, opens_in float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
        with lanes as materialized (
            select * from find_new_lanes(p_shard, p_queues, p_known, p_priorities, p_tenants, p_lows)
        ), held as materialized (
            select * from limits_on(p_queues, array(select n.tenant_id from lanes n where n.queue not like '~%' union select unnest(p_tenants)))
        )
        select coalesce(l.queue, k.name), l.priority, l.tenant_id, l.first_seq, coalesce(k.limited, false),
               case when k.name is null then 0 else k.opens_in end
        from lanes as l
        full join held as k on k.name = l.queue;
end $$;
