-- Events of all work of a shard from a moment on: behind a place (at, run_id, ordinal, type) the oldest first, else the newest first. A null
-- in p_types or p_tenant restricts nothing. What is derived from rows is found by the time that each row has: created by the id, started
-- among what runs, ended by the index of ends; a run ends with one of its steps. What p_types leaves out is not looked for.
-- Locks: none. Index: steps_pkey, runs_pkey, steps_running, steps_finished, event_log_by_time, attempts_by_time.
-- Without statistics nothing tells the planner that BRIN reads little, and a key by its first column, which is all of the shard, seems to read
-- less. So where rows are found by an index of times, the shard is compared as a float8, which keys have no operator for (Citus looks through
-- the cast). It is compared as it is besides where steps has been analyzed: beside the times, and with many shards, its pages are worth a look then.
-- Ids are made in the moment in which rows are dated; where a client makes them its clock may be off by five seconds.
create or replace function tributary.read_events(
    p_shard smallint, p_since timestamptz, p_run_id uuid, p_ordinal integer, p_type text, p_types text[], p_tenant text, p_limit integer
) returns table (run_id uuid, at timestamptz, type text, step_id text, ordinal integer, attempt smallint, data jsonb)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_behind constant boolean := p_type is not null;
    v_since constant timestamptz := coalesce(p_since, '-infinity');
    v_first constant uuid := case when p_since is null then '00000000-0000-0000-0000-000000000000'
                                  else first_id(p_since + (clock_timestamp() - clock()) - interval '5 seconds') end;
    v_ended constant timestamptz := v_since - interval '5 seconds';
    v_analyzed constant boolean := greatest(pg_stat_get_last_analyze_time('steps'::regclass), pg_stat_get_last_autoanalyze_time('steps'::regclass)) is not null;
begin
    return query
        select e.run_id, e.at, e.type, e.step_id, e.ordinal, e.attempt, e.data
        from (
            select l.run_id, l.at, l.type, s.step_id, l.ordinal, l.attempt, l.data, l.tenant_id
            from event_log l
            left join lateral (
                select s.step_id from steps s where s.shard = p_shard and s.run_id = l.run_id and s.ordinal = l.ordinal offset 0
            ) as s on true
            where l.shard = p_shard::float8 and l.at >= v_since and (p_types is null or l.type = any (p_types))
            union all
            select s.run_id, s.created_at, 'intent_created', null, s.ordinal, null, jsonb_build_object('name', s.name), s.tenant_id
            from steps s
            where (p_types is null or 'intent_created' = any (p_types))
              and s.shard = p_shard and s.run_id >= v_first and s.ordinal = 0 and s.kind = 'intent' and s.created_at >= v_since
            union all
            select r.run_id, r.created_at, 'run_created', null, null, null, jsonb_build_object('name', r.name), r.tenant_id
            from runs r
            where (p_types is null or 'run_created' = any (p_types))
              and r.shard = p_shard and r.run_id >= v_first and r.created_at >= v_since
            union all
            select s.run_id, coalesce(s.started_at, s.claimed_at), 'step_started', s.step_id, s.ordinal, s.attempt, null, s.tenant_id
            from steps s
            where (p_types is null or 'step_started' = any (p_types))
              and s.shard = p_shard and s.state = 'running' and s.attempt > 0 and s.kind <> 'closing'
              and coalesce(s.started_at, s.claimed_at) >= v_since
            union all
            select s.run_id, told.at, told.type, s.step_id, s.ordinal, told.attempt, told.data, s.tenant_id
            from steps s
            cross join lateral (values
                (coalesce(s.started_at, s.claimed_at), 'step_started', s.attempt, null::jsonb,
                 s.state = 'completed' and s.attempt > 0 and s.claimed_at is not null and s.reason is distinct from 'cached'),
                (s.finished_at, 'step_completed', s.attempt, null, s.state = 'completed'),
                (s.finished_at, 'step_skipped', null, jsonb_build_object('reason', s.reason),
                 s.state = 'skipped' and s.reason in ('upstream', 'aborted'))
            ) as told(at, type, attempt, data, holds)
            where (p_types is null or p_types && array['step_started', 'step_completed', 'step_skipped'])
              and s.shard = p_shard::float8 and (not v_analyzed or s.shard = p_shard) and s.finished_at >= v_since and s.kind <> 'closing'
              and told.holds and told.at >= v_since and (p_types is null or told.type = any (p_types))
            union all
            select a.run_id, a.started_at, 'step_started', s.step_id, a.ordinal, a.attempt, null, a.tenant_id
            from attempts a
            join lateral (
                select s.step_id from steps s where s.shard = p_shard and s.run_id = a.run_id and s.ordinal = a.ordinal offset 0
            ) as s on true
            where (p_types is null or 'step_started' = any (p_types))
              and a.shard = p_shard::float8 and a.finished_at >= v_since and a.started_at >= v_since
            union all
            select r.run_id, r.finished_at, 'run_' || r.state, null, null, null,
                   jsonb_strip_nulls(jsonb_build_object('warnings', nullif(r.warnings, 0), 'failed', nullif(r.failed, 0))), r.tenant_id
            from (
                select distinct s.run_id from steps s
                where (p_types is null or p_types && array['run_completed', 'run_failed'])
                  and s.shard = p_shard::float8 and (not v_analyzed or s.shard = p_shard) and s.finished_at >= v_ended and s.kind <> 'intent'
            ) as ended
            cross join lateral (
                select k.* from runs k where k.shard = p_shard and k.run_id = ended.run_id offset 0
            ) as r
            where r.state in ('completed', 'failed') and r.finished_at >= v_since
              and (p_types is null or 'run_' || r.state = any (p_types))
        ) as e
        where (p_tenant is null or e.tenant_id = p_tenant)
          and (not v_behind or (e.at, e.run_id, coalesce(e.ordinal, case when e.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), e.type) > (p_since, p_run_id, p_ordinal, p_type))
        order by case when not v_behind then e.at end desc, e.at, e.run_id, coalesce(e.ordinal, case when e.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), e.type
        limit p_limit;
end $$;
