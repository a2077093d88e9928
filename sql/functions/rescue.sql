-- Gives back what belongs to processes that stopped beating, by the server's clock alone: for public claims, and for workers of the
-- release before rescue_dead.
create or replace function tributary.rescue(p_shard smallint, p_lease interval, p_limit integer) returns integer
language sql volatile
as $$
    select tributary.rescue_dead(p_shard, p_lease, p_limit, null)
$$;
