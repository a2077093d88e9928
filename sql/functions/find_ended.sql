-- Which of these runs and intents wait for nothing more: they have ended, or are not there (any more). With the caller's rights.
-- Locks: none. Index: runs_pkey, steps_pkey, whatever the planner believes of tables it has never analyzed.
create or replace function tributary.find_ended(p_ids uuid[]) returns setof uuid
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    return query
        select u.id
        from (select i.id, shard_of(i.id) as shard from unnest(p_ids) as i(id)) as u
        where (select r.finished_at is null from runs r where r.shard = u.shard and r.run_id = u.id) is not true
          and (select s.finished_at is null from steps s
               where s.shard = u.shard and s.run_id = u.id and s.ordinal = 0 and s.kind = 'intent') is not true;
end $$;
