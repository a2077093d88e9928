-- Attempts of runs have ended (p_ends: -1 not for good, 0 well, 1 tolerated, 2 badly): a closing step ends its run, all others are
-- settled. p_next_…, and what is returned: as settle_steps.
-- The caller holds the root runs' locks.
drop function if exists tributary.settle_ended(
    smallint, uuid[], integer[], step_kind[], smallint[], text[], text[], timestamptz, text[], text[], integer);
create or replace function tributary.settle_ended(
    p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_kinds step_kind[], p_ends smallint[], p_results text[], p_errors text[],
    p_now timestamptz, p_queues text[], p_names text[], p_free integer,
    p_next_process bigint, p_next_most integer, p_next_queues text[], p_next_priorities smallint[], p_next_tenants text[], p_next_befores bigint[]
) returns tid[]
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
as $$
declare
    v_run_ids uuid[];
    v_ordinals integer[];
    v_ends smallint[];
begin
    if 'step' = all (p_kinds) and 0 = all (p_ends) then
        return settle_steps(p_shard, p_run_ids, p_ordinals, p_ends, p_now, p_queues, p_names, p_free,
                            p_next_process, p_next_most, p_next_queues, p_next_priorities, p_next_tenants, p_next_befores);
    end if;
    perform end_closing(p_shard, u.run_id, u.how, u.result, u.error, p_now, p_queues, p_names, p_free)
    from unnest(p_run_ids, p_kinds, p_ends, p_results, p_errors) as u(run_id, kind, how, result, error)
    where u.kind = 'closing' and u.how >= 0;
    select array_agg(u.run_id), array_agg(u.ordinal), array_agg(u.how) into v_run_ids, v_ordinals, v_ends
    from unnest(p_run_ids, p_ordinals, p_kinds, p_ends) as u(run_id, ordinal, kind, how)
    where u.kind = 'step' and u.how >= 0;
    return settle_steps(p_shard, v_run_ids, v_ordinals, v_ends, p_now, p_queues, p_names, p_free,
                            p_next_process, p_next_most, p_next_queues, p_next_priorities, p_next_tenants, p_next_befores);
end $$;
