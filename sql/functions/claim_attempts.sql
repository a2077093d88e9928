-- claim_leases without what it has learnt since: for workers of the release before it.
create or replace function tributary.claim_attempts(
    p_shard smallint, p_process bigint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_n integer
) returns table (
    run_id uuid, ordinal integer, seq bigint, kind tributary.step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    payload text, options text, lone_crashes smallint
)
language sql volatile
as $$
    select c.run_id, c.ordinal, c.seq, c.kind, c.name, c.step_id, c.item_key, c.queue, c.priority, c.tenant_id, c.attempt,
           c.attempt_base, c.max_attempts, c.crashes, c.flags, c.payload, c.options, c.lone_crashes
    from tributary.claim_leases(p_shard, p_process, p_queues, p_priorities, p_tenants, p_lows, p_names, p_n) as c;
$$;
