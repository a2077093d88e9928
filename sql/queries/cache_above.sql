-- Whether a step has started the run, or one above it, that asks for what this very step makes: each would wait for the other.
-- Locks: none.
-- Index: runs_pkey; one row for each level.
-- Caller: store.cache.holders.is_above
with recursive above as (
    select r.parent_run_id, r.parent_ordinal from tributary.runs as r
    where r.shard = %(shard)s::smallint and r.run_id = %(asks)s::uuid
    union all
    select r.parent_run_id, r.parent_ordinal
    from above as a
    cross join lateral (
        select k.parent_run_id, k.parent_ordinal from tributary.runs as k
        where k.shard = %(shard)s::smallint and k.run_id = a.parent_run_id offset 0
    ) as r
)
select exists (select from above as a where a.parent_run_id = %(run_id)s::uuid and a.parent_ordinal = %(ordinal)s)
