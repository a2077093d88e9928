-- Takes note of what was done to a run or an intent, with the login that calls. Runs with the owner's rights, so that no role needs any on the
-- table: rows are added here and removed by prune_audit once their time is over. Refuses tenants that the session does not act for.
-- Locks: none.
create or replace function tributary.record_audit(
    p_run_id uuid, p_tenant text, p_action text, p_name text, p_step text, p_attempt integer, p_place text,
    p_payload_hash bytea, p_result_hash bytea, p_payload jsonb, p_result jsonb, p_error text, p_keep float8
) returns void
language plpgsql volatile security definer
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
    v_shard smallint := shard_of(p_run_id);
    v_tenant text := tenant_to_submit(p_tenant);
    v_login text := invoker_name();
begin
    insert into audit_log (run_id, at, keep_until, shard, attempt, tenant_id, action, name, step, login, place,
                           payload_hash, result_hash, payload, result, error)
    values (p_run_id, v_now, v_now + make_interval(secs => p_keep), v_shard, p_attempt, v_tenant, p_action, p_name, p_step, v_login, p_place,
            p_payload_hash, p_result_hash, p_payload, p_result, p_error);
end $$;
