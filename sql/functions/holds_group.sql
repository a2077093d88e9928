-- Whether a run (p_ordinal null) or a step is part of something that has a slot of the group: its run, or a step or a run above it. It
-- works under that slot: waiting for another one, it would wait for what waits for it.
-- Locks: none. Index: runs_pkey, group_slots_pkey.
create or replace function tributary.holds_group(p_shard smallint, p_tenant text, p_group text, p_run_id uuid, p_ordinal integer)
returns boolean
language sql stable
as $$
    with recursive above(run_id, ordinal) as (
        select p_run_id, null::integer where p_ordinal is not null
        union all
        select r.parent_run_id, r.parent_ordinal
        from tributary.runs r
        where p_ordinal is null and r.shard = p_shard and r.run_id = p_run_id and r.parent_run_id is not null
        union all
        select r.parent_run_id, r.parent_ordinal
        from above a
        join tributary.runs r on r.shard = p_shard and r.run_id = a.run_id
        where r.parent_run_id is not null
    )
    select exists (
        select from above a
        cross join lateral (
            select from tributary.group_slots s
            where s.shard = p_shard and s.run_id = a.run_id and s.ordinal in (-1, a.ordinal)
              and s.tenant_id = p_tenant and s.name = p_group and s.state = 'held'
            limit 1
        ) as held)
$$;
