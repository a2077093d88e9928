-- Where rows are that belong to these runs and intents, and may be far more than their steps: edges, events, logs. A batch of pruning
-- cannot take all of them, so these are at most p_limit of each; is_all tells whether there are no more. All ids lie from p_first to p_last:
-- where that range is empty, as with work that went well, nothing is looked up by id. One index gives the order asked for.
create or replace function tributary.find_loose_parts(p_shard smallint, p_ids uuid[], p_first uuid, p_last uuid, p_limit integer)
returns table (is_all boolean, edges tid[], events tid[], logs tid[])
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
begin
    edges := array(
        select e.tid from (select distinct u.id from unnest(p_ids) as u(id)) as u
        cross join lateral (select e.ctid as tid from edges e where e.shard = p_shard and e.run_id = u.id offset 0) as e
        where (select true from edges e where e.shard = p_shard and e.run_id between p_first and p_last order by e.run_id limit 1)
        limit p_limit);
    events := array(
        select l.tid from (select distinct u.id from unnest(p_ids) as u(id)) as u
        cross join lateral (
            select l.ctid as tid from event_log l where l.shard = p_shard and l.run_id between u.id and u.id order by l.run_id offset 0
        ) as l
        where (select true from event_log l where l.shard = p_shard and l.run_id between p_first and p_last order by l.run_id limit 1)
        limit p_limit);
    logs := array(
        select c.tid from (select distinct u.id from unnest(p_ids) as u(id)) as u
        cross join lateral (
            select c.ctid as tid from log_chunks c where c.shard = p_shard and c.run_id between u.id and u.id order by c.run_id offset 0
        ) as c
        where (select true from log_chunks c where c.shard = p_shard and c.run_id between p_first and p_last order by c.run_id limit 1)
        limit p_limit);
    is_all := cardinality(edges) < p_limit and cardinality(events) < p_limit and cardinality(logs) < p_limit;
    return next;
end $$;
