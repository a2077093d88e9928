-- Of these steps, which have had slots of concurrency groups, those that have ended give them back. Called behind their finish; what a
-- dead process leaves undone, the sweep does. Locks: the steps' own members, by SKIP LOCKED, as nobody here holds a root. Index: steps_pkey, group_slots_pkey.
create or replace function tributary.leave_ended(p_shard smallint, p_run_ids uuid[], p_ordinals integer[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
begin
    perform leave_group(p_shard, u.run_id, u.ordinal)
    from unnest(p_run_ids, p_ordinals) as u(run_id, ordinal)
    cross join lateral (
        select s.finished_at from steps s where s.shard = p_shard and s.run_id = u.run_id and s.ordinal = u.ordinal offset 0
    ) as step
    cross join lateral (
        -- whoever has it locked ends its run, or sees that it has ended
        select from group_slots m where m.shard = p_shard and m.run_id = u.run_id and m.ordinal = u.ordinal for update skip locked
    ) as member
    where step.finished_at is not null;
end $$;
