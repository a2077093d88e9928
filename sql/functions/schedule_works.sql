-- Whether work that a schedule started has not ended yet. What was pruned has.
-- Index: schedule_fires_unfinished, keys of runs and steps.
create or replace function tributary.schedule_works(p_name text) returns boolean
language sql volatile
set search_path to tributary, pg_temp
as $$
    select exists (
        select from schedule_fires f
        where f.schedule = p_name and f.unfinished
          and (exists (select from runs r where r.shard = shard_of(f.run_id) and r.run_id = f.run_id and r.state in ('running', 'paused'))
               or exists (select from steps s
                          where s.shard = shard_of(f.run_id) and s.run_id = f.run_id and s.ordinal = 0 and s.kind = 'intent'
                            and s.state not in ('completed', 'skipped', 'cancelled', 'discarded'))))
$$;
