-- The message of the failure that came first in a run, if one is kept.
create or replace function tributary.first_error(p_shard smallint, p_run_id uuid) returns text
language sql stable
set search_path to tributary, pg_temp
as $$
    select d.error ->> 'message' from dead_letters d
    where d.shard = p_shard and d.run_id = p_run_id
    order by d.created_at, d.ordinal limit 1
$$;
