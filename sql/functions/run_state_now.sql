-- The state of a run as shown: stored, or for one at work derived from its steps.
-- Its steps are read once by their key: asked for by state, they would be looked for among all that run or are ready.
create or replace function tributary.run_state_now(p_shard smallint, p_run_id uuid, p_state tributary.run_state, p_run_at timestamptz) returns text
language sql stable
set search_path to tributary, pg_temp
as $$
    select case
        when p_state <> 'running' then p_state::text
        else (
            select case
                when p_run_at > clock() and not coalesce(bool_or(own.claimed_at is not null), false) then 'scheduled'
                when bool_or(own.state = 'running' or own.reason = 'child') then 'running'
                when bool_or(own.state = 'available') then
                    case when bool_or(own.claimed_at is not null or own.finished_at is not null) then 'running' else 'available' end
                else 'waiting' end
            from (
                select s.state, s.reason, s.claimed_at, s.finished_at from steps s
                where s.shard = p_shard and s.run_id = p_run_id offset 0
            ) as own) end
$$;
