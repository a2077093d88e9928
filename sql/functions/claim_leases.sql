-- Claims up to p_n rows over the given lanes (queue, priority, tenant) in their order, each from its watermark p_lows on.
-- options: with `correlation` beside them, the ids of the work, where it carries any. Refused before register_process. tid is where the claimed row lies: with it finish_leases need not look the row up.
-- Locks: step rows by SKIP LOCKED (lock_lanes), and the counters of limits (lock_limited). Pauses, limits and disabled names are
-- read per call, never per row.
create or replace function tributary.claim_leases(
    p_shard smallint, p_process bigint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_n integer
) returns table (
    run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    payload text, options text, lone_crashes smallint
)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_known record;
begin
    v_known := know_caller(p_process, p_queues, p_tenants, p_names);
    if not v_known.silent then
        return query
            select c.*
            from claim_known(p_shard, p_process, p_queues, p_priorities, p_tenants, p_lows, v_known.names, v_known.python, v_known.others,
                             v_known.paused, v_known.limited, p_n) as c;
    end if;
end $$;
