-- One page of the runs of a shard as shown, newest first; null in a filter restricts nothing. p_after: the id that ended the page before.
-- No id below p_floor is looked at, and some p_window rows at most: a row with ended set says that older ones may fit; where fits is false
-- it is no row of the page, only the id down to which it was looked.
-- The settings leave one plan: each run found is looked up by its key, whatever the planner believes about the tables.
create or replace function tributary.list_runs(
    p_shard smallint, p_after uuid, p_floor uuid, p_state text, p_name text, p_tenant text, p_labels jsonb, p_since timestamptz,
    p_limit integer, p_window integer
) returns table (
    run_id uuid, fits boolean, ended boolean, name text, state text, reason text, priority smallint, labels jsonb, created_at timestamptz,
    started_at timestamptz, finished_at timestamptz, steps_ended integer, steps_total integer, warnings integer
)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    -- what is shown of a run at work is derived from its steps
    v_stored run_state := case when p_state in ('scheduled', 'available', 'running', 'waiting') then 'running'
                               when p_state = any (enum_range(null::run_state)::text[]) then p_state::run_state end;
begin
    if p_state is not null and v_stored is null then
        return;
    end if;
    return query
        select f.run_id, f.fits, f.ended, r.name, r.shown, r.reason, r.priority, r.labels, r.created_at, coalesce(begun.at, live.started_at), r.finished_at,
               live.ended::integer, live.total::integer, r.warnings
        from (
            select k.* from find_runs(p_shard, p_after, p_floor, v_stored, p_name, p_tenant, p_labels, p_since, p_limit, p_window) as k
            where v_stored is null or v_stored = 'completed'
            union all
            select k.* from find_unusual_runs(
                p_shard, p_after, p_floor, v_stored, p_state, p_name, p_tenant, p_labels, p_since, p_limit, p_window) as k
            where v_stored <> 'completed'
        ) as f
        left join lateral (
            select r.*, run_state_now(r.shard, r.run_id, r.state, r.run_at) as shown
            from runs r
            where r.shard = p_shard and r.run_id = f.run_id offset 0
        ) as r on f.fits
        left join lateral (
            select min(coalesce(s.started_at, s.claimed_at)) as started_at, count(*) filter (where s.flags & 256 = 0) as total,
                   count(*) filter (where s.flags & 256 = 0 and s.finished_at is not null) as ended,
                   bool_or(s.flags & 8192 = 8192 and s.ordinal = 1 and s.name not in ('trib.fan.v1', 'trib.workflow.v1')) as has_history
            from steps s
            where s.shard = p_shard and s.run_id = f.run_id and s.kind = 'step'
        ) as live on f.fits
        left join lateral (
            -- a workflow function is claimed anew whenever it goes on
            select (k.events #>> '{0,at}')::timestamptz as at
            from history k
            where live.has_history and k.shard = p_shard and k.run_id = f.run_id
            order by k.number limit 1
        ) as begun on true;
end $$;
