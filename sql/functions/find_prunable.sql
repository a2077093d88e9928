-- Looks at the p_limit step rows behind (p_after, p_ordinal), in the order of the key, and tells what of them may be pruned: intents
-- and runs that ended more than p_keep ago, and rests, the steps of a run whose row is gone already. A dead letter keeps its work until
-- it is p_keep_letters old (null: until it is requeued or dropped), a root keeps its children, a child run that works keeps its root. p_states, p_tenant: null for all.
-- Ids grow with time, so what has ended long ago lies before the id of that moment; only ids that somebody made up lie behind those of
-- tomorrow. What lies between is never looked at. last_id: the last of the window; next_after: where the next one begins, null for nowhere.
-- Locks: none. Index: steps_pkey, one window of it; whatever stays costs its place in the window, once per sweep. The order asked for leaves
-- one index, without a sort, where a table has several that begin with the shard: the plan is made once, maybe over empty tables.
create or replace function tributary.find_prunable(
    p_shard smallint, p_after uuid, p_ordinal integer, p_keep interval, p_keep_letters interval, p_states text[], p_tenant text, p_limit integer
) returns table (intents tid[], runs tid[], rests uuid[], step_tids tid[], step_runs uuid[], last_id uuid, next_after uuid, next_ordinal integer)
language plpgsql volatile
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
declare
    v_old timestamptz := clock() - p_keep;
    v_old_letter timestamptz := clock() - p_keep_letters;
    v_made_up uuid := first_id(date_trunc('day', clock()) + interval '2 days');
    v_end uuid := case when p_after < v_made_up then first_id(v_old) else 'ffffffff-ffff-ffff-ffff-ffffffffffff' end;
begin
    return query
        with seen as materialized (
            select s.ctid as tid, s.run_id, s.ordinal, s.kind, s.state, s.tenant_id, s.finished_at
            from steps s
            where s.shard = p_shard and (s.run_id, s.ordinal) > (p_after, p_ordinal) and s.run_id < v_end
            order by s.run_id, s.ordinal limit p_limit
        ), intents as materialized (
            select array_agg(seen.tid) as tids
            from seen
            left join lateral (
                select true as stays from dead_letters d
                where seen.state = 'discarded' and d.shard = p_shard and d.run_id between seen.run_id and seen.run_id
                  and (v_old_letter < d.created_at) is not false
                order by d.run_id limit 1
            ) as letter on true
            where seen.kind = 'intent' and seen.finished_at < v_old and letter.stays is null
              and (p_states is null or seen.state::text = any (p_states)) and (p_tenant is null or seen.tenant_id = p_tenant)
        ), heads as materialized (
            select u.run_id, r.*
            from (select distinct seen.run_id from seen where seen.kind <> 'intent') as u
            left join lateral (
                select r.ctid as tid, r.root_id, r.state, r.tenant_id, r.finished_at
                from runs r where r.shard = p_shard and r.run_id = u.run_id offset 0
            ) as r on true
        ), runs_found as materialized (
            select array_agg(heads.tid order by heads.run_id) filter (where heads.tid is not null) as tids
            from heads
            left join lateral (
                select true as stays from dead_letters d
                where d.shard = p_shard and d.run_id between heads.run_id and heads.run_id and (v_old_letter < d.created_at) is not false
                order by d.run_id limit 1
            ) as letter on true
            left join lateral (
                select true as stays from runs r
                where heads.root_id <> heads.run_id and r.shard = p_shard and r.run_id = heads.root_id
                limit 1
            ) as root on true
            where heads.finished_at < v_old and letter.stays is null and root.stays is null and not works_below(p_shard, heads.run_id)
              and (p_states is null or heads.state::text = any (p_states)) and (p_tenant is null or heads.tenant_id = p_tenant)
        ), last as materialized (
            select count(*) as n, (array_agg(seen.run_id))[count(*)] as run_id, (array_agg(seen.ordinal))[count(*)] as ordinal from seen
        )
        select intents.tids, runs_found.tids,
               (select array_agg(heads.run_id) from heads where heads.tid is null),
               (select array_agg(seen.tid) from seen where seen.kind <> 'intent'),
               (select array_agg(seen.run_id) from seen where seen.kind <> 'intent'),
               last.run_id, case when last.n >= p_limit then last.run_id when p_after < v_made_up then v_made_up end, last.ordinal
        from intents cross join runs_found cross join last;
end $$;
