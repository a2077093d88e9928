-- One page of the runs of a shard as shown, newest first; null in a filter restricts nothing.
-- p_stored is the stored state that p_state, as shown, can only be derived from. p_after: the id that ended the page before.
-- The settings leave one plan: backwards along the key until the page is full, whatever the planner believes about the tables.
create or replace function tributary.list_runs(
    p_shard smallint, p_after uuid, p_state text, p_stored text, p_name text, p_tenant text, p_labels jsonb,
    p_since timestamptz, p_limit integer
) returns table (
    run_id uuid, name text, state text, reason text, priority smallint, labels jsonb, created_at timestamptz,
    started_at timestamptz, finished_at timestamptz, steps_ended integer, steps_total integer, warnings integer
)
language sql stable
set search_path to tributary, pg_temp
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
    select r.run_id, r.name, now.state, r.reason, r.priority, r.labels, r.created_at, live.started_at, r.finished_at,
           r.next_ordinal - 2 - r.remaining, r.next_ordinal - 2, r.warnings
    from runs r
    cross join lateral (
        select run_state_now(r.shard, r.run_id, r.state, r.run_at) as state offset 0
    ) as now
    cross join lateral (
        select min(coalesce(s.started_at, s.claimed_at)) as started_at
        from steps s
        where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
    ) as live
    where r.shard = p_shard
      and r.run_id < coalesce(p_after, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      and (p_stored is null or r.state::text = p_stored)
      and (p_name is null or r.name = p_name)
      and (p_tenant is null or r.tenant_id = p_tenant)
      and (p_labels is null or r.labels @> p_labels)
      and (p_since is null or r.created_at >= p_since)
      and (p_state is null or now.state = p_state)
    order by r.run_id desc
    limit p_limit
$$;
