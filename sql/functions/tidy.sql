-- What tidy_fleet and expire_runs do, in one transaction, as workers of the release before ask for it: goes one release later.
-- Index: as those.
create or replace function tributary.tidy(p_silent interval) returns integer
language sql volatile
as $$
    select tributary.tidy_fleet(p_silent)
           + (select coalesce(sum(tributary.expire_runs(n.shard::smallint, 100)), 0)::integer
              from generate_series(0, tributary.shard_count() - 1) as n(shard))
$$;
