-- Records many intents of one name that share their options, for those who may not write the tables by COPY; ids in the order of the payloads.
-- Locks: none.
create or replace function tributary.submit_intents(
    p_name text, p_payloads jsonb[], p_submit jsonb, p_config jsonb, p_run_at timestamptz, p_tenant text, p_private text
) returns table (run_id uuid)
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select spend_submits(coalesce(cardinality(p_payloads), 0)) where only_submits();
    select r.run_id
    from (select tenant_to_submit(p_tenant) as tenant offset 0) as t
    cross join unnest(p_payloads) with ordinality as u(payload, position)
    cross join lateral submit_row(p_name, u.payload, null, p_submit, p_config, p_run_at, t.tenant, p_private, null) as r
    order by u.position
$$;
