-- One page of the intents of a shard, newest first; filters and settings as in list_runs.
create or replace function tributary.list_intents(
    p_shard smallint, p_after uuid, p_state text, p_name text, p_tenant text, p_since timestamptz, p_limit integer
) returns table (
    run_id uuid, name text, state text, reason text, queue text, attempt smallint, max_attempts smallint, priority smallint,
    created_at timestamptz, started_at timestamptz, finished_at timestamptz
)
language sql stable
set search_path to tributary, pg_temp
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
    select s.run_id, s.name, s.state::text, s.reason, s.queue, s.attempt, s.max_attempts, s.priority, s.created_at,
           case when s.state in ('running', 'completed', 'discarded', 'cancelled') then coalesce(s.started_at, s.claimed_at) end,
           s.finished_at
    from steps s
    where s.shard = p_shard
      and s.run_id < coalesce(p_after, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      and s.ordinal = 0 and s.kind = 'intent'
      and (p_state is null or s.state::text = p_state)
      and (p_name is null or s.name = p_name)
      and (p_tenant is null or s.tenant_id = p_tenant)
      and (p_since is null or s.created_at >= p_since)
    order by s.run_id desc
    limit p_limit
$$;
