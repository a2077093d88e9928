-- Forgets how a run that ended was undone, before it goes on: returns the ordinals of the steps that were, or may have been, by an undo that
-- had begun. They have to run again, a fan-out as a whole, with all that needs them: it was made of what is gone.
-- The caller holds the root run's lock.
create or replace function tributary.drop_undo(p_shard smallint, p_run_id uuid) returns integer[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_undo integer[];
    v_ids text[];
begin
    select array_agg(s.ordinal), array_agg(distinct substring(s.step_id from '^undo:([A-Za-z0-9_-]+)')) filter (where s.state = 'completed' or s.attempt > s.attempt_base)
    into v_undo, v_ids
    from steps s where s.shard = p_shard and s.run_id = p_run_id and s.flags & 7680 = hook_bits('undo');
    if v_undo is null then
        return '{}';
    end if;
    delete from edges e where e.shard = p_shard and e.run_id = p_run_id and e.parent = any (v_undo);
    delete from payloads p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_undo);
    -- pruning finds these by the rows of steps
    delete from attempts a where a.shard = p_shard and a.run_id = p_run_id and a.ordinal = any (v_undo);
    delete from progress p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_undo);
    delete from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (v_undo);
    return array(
        with recursive below as (
            select s.ordinal from steps s
            where s.shard = p_shard and s.run_id = p_run_id and s.kind = 'step' and s.flags & 7936 = 0 and s.step_id = any (v_ids)
            union
            select e.child from below b join edges e on e.shard = p_shard and e.run_id = p_run_id and e.parent = b.ordinal
        )
        select b.ordinal from below b);
end $$;
