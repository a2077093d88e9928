-- Items of a fan-out are to run again: those that exceed its max_parallel wait for the others. The caller holds the root run's lock.
create or replace function tributary.hold_items(p_shard smallint, p_run_id uuid, p_ordinal integer) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
begin
    update steps s
    set state = 'blocked', unmet = 1, reason = case when s.reason = 'no_handler' then s.reason end
    from (
        select i.ordinal, row_number() over (order by i.ordinal) as n, (p.details ->> 'max_parallel')::integer as most
        from progress p
        join edges e on e.shard = p_shard and e.run_id = p_run_id and e.child = p_ordinal
        join steps i on i.shard = p_shard and i.run_id = p_run_id and i.ordinal = e.parent
        where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal and i.flags & 256 = 256 and i.finished_at is null
    ) as again
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = again.ordinal and again.n > again.most;
    update progress p set details = p.details || jsonb_build_object('next', p.details -> 'first')
    where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = p_ordinal;
end $$;
