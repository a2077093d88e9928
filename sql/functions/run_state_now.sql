-- The state of a run as shown: stored, or for one at work derived from its steps.
create or replace function tributary.run_state_now(p_shard smallint, p_run_id uuid, p_state tributary.run_state, p_run_at timestamptz) returns text
language sql stable
set search_path to tributary, pg_temp
as $$
    select case
        when p_state <> 'running' then p_state::text
        when p_run_at > clock() and not exists (
            select from steps s where s.shard = p_shard and s.run_id = p_run_id and s.claimed_at is not null) then 'scheduled'
        when exists (select from steps s where s.shard = p_shard and s.run_id = p_run_id and s.state = 'running') then 'running'
        when exists (select from steps s where s.shard = p_shard and s.run_id = p_run_id and s.state = 'available') then
            case when exists (select from steps s where s.shard = p_shard and s.run_id = p_run_id
                              and (s.claimed_at is not null or s.finished_at is not null)) then 'running' else 'available' end
        else 'waiting' end
$$;
