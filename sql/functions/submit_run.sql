-- record_run of a run that nobody's step has started. A limited login spends a submit.
create or replace function tributary.submit_run(
    p_revision uuid, p_name text, p_inputs jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_labels jsonb, p_tenant text, p_payloads jsonb, p_private text, p_runner bigint
) returns table (run_id uuid, created boolean, state text, unknown text[])
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select tributary.spend_submits(1) where tributary.only_submits();
    select * from tributary.record_run(p_revision, p_name, p_inputs, p_key, p_submit, p_config, p_run_at, p_labels, tributary.tenant_to_submit(p_tenant), p_payloads,
                                       p_private, p_runner, null, null, null)
$$;
