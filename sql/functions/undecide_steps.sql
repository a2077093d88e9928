-- These steps of a run are to run again: those whose options hold expressions go back to their control name, so that these are evaluated
-- anew, and below them holds what held before; those whose child run had completed start another one. The caller holds the root run's lock. Index: payloads_pkey, steps_pkey.
create or replace function tributary.undecide_steps(p_shard smallint, p_run_id uuid, p_ordinals integer[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
begin
    update steps s set flags = s.flags & ~8192
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (p_ordinals) and s.name = 'trib.workflow.v1' and s.flags & 8192 = 8192;
    with again as materialized (
        select s.ordinal, p.options - below.decided || below.otherwise as options
        from steps s
        join payloads p on p.shard = p_shard and p.run_id = p_run_id and p.ordinal = s.ordinal
        cross join lateral (
            select coalesce(array_agg(e.key) filter (where p.options #>> array[e.key, 'level'] = 'step'), '{}') as decided,
                   coalesce(jsonb_object_agg(e.key, e.value -> 'else') filter (where e.value ? 'else'), '{}') as otherwise
            from jsonb_each(p.options -> 'expressions') e
        ) as below
        where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (p_ordinals) and p.options -> 'expressions' <> '{}'
          -- of a fan-out they are decided for each of its items
          and s.name not in ('trib.fan.v1', 'trib.options.v1')
    ), kept as (
        update payloads p set options = a.options
        from again a
        where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = a.ordinal
    )
    update steps s
    set name = 'trib.options.v1', queue = private_queue(case when s.queue like '@%' then s.queue end, '~closing'), priority = 32000,
        max_attempts = 3
    from again a
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = a.ordinal;
end $$;
