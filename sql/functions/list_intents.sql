-- One page of the intents of a shard, newest first; parameters, rows and settings as in list_runs.
-- An intent whose name was never offered was never ready: it waits, was cancelled or discarded. So the whole history is not searched for
-- the name of a workflow, nor for one that nothing has.
create or replace function tributary.list_intents(
    p_shard smallint, p_after uuid, p_floor uuid, p_state text, p_name text, p_tenant text, p_since timestamptz, p_limit integer,
    p_window integer
) returns table (
    run_id uuid, fits boolean, ended boolean, name text, state text, reason text, queue text, attempt smallint, max_attempts smallint,
    priority smallint, created_at timestamptz, started_at timestamptz, finished_at timestamptz
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
    v_known boolean := p_name is null or exists (select from registry r where r.name = p_name and r.offered_at is not null);
    v_state step_state := case when p_state = any (enum_range(null::step_state)::text[]) then p_state::step_state end;
begin
    if p_state is not null and v_state is null then
        return;
    end if;
    return query
        select f.run_id, f.fits, f.ended, s.name, s.state::text, s.reason, s.queue, s.attempt, s.max_attempts, s.priority, s.created_at,
               case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end,
               s.finished_at
        from (
            select k.* from find_intents(p_shard, p_after, p_floor, v_state, p_name, p_tenant, p_since, p_limit, p_window) as k
            where v_known and (v_state is null or v_state = 'completed')
            union all
            select k.* from find_live_intents(p_shard, p_after, p_floor, v_state, p_name, p_tenant, p_since, p_limit, p_window) as k
            where v_known and v_state in ('available', 'running')
            union all
            select k.* from find_unusual_intents(p_shard, p_after, p_floor, v_state, p_name, p_tenant, p_since, p_limit, p_window) as k
            where v_state not in ('available', 'running', 'completed')
            union all
            select k.* from unnest(array['waiting', 'cancelled', 'discarded']::step_state[]) as u(state)
            cross join lateral find_unusual_intents(
                p_shard, p_after, p_floor, u.state, p_name, p_tenant, p_since, p_limit, greatest(p_window / 3, 1)) as k
            where not v_known and v_state is null
        ) as f
        left join lateral (
            select s.* from steps s where s.shard = p_shard and s.run_id = f.run_id and s.ordinal = 0 offset 0
        ) as s on f.fits;
end $$;
