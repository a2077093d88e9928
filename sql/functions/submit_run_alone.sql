-- submit_run as a transaction of its own, which wakes after its commit like submit_alone. With p_hash it keeps the revision, too.
create or replace procedure tributary.submit_run_alone(
    p_revision uuid, p_hash text, p_source text, p_plan jsonb, p_name text, p_inputs jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_delay float8, p_labels jsonb, p_tenant text, p_payloads jsonb, p_private text, p_runner bigint,
    inout run_id uuid, inout created boolean, inout state text, inout unknown text[]
)
language plpgsql
as $$
declare
    v_revision uuid := p_revision;
    v_queues text[];
begin
    -- not by coalesce: naming a function takes the right to call it, which those who submit names do not have
    if v_revision is null then
        v_revision := tributary.save_revision(p_name, p_hash, p_source, p_plan);
    end if;
    perform set_config('tributary.kept_wakes', '{}', true);
    select r.run_id, r.created, r.state, r.unknown into run_id, created, state, unknown
    from tributary.submit_run(v_revision, p_name, p_inputs, p_key, p_submit, p_config,
                              coalesce(p_run_at, tributary.clock() + make_interval(secs => p_delay)),
                              p_labels, p_tenant, p_payloads, p_private, p_runner) as r;
    v_queues := current_setting('tributary.kept_wakes');
    if cardinality(v_queues) > 0 then
        commit;
        perform tributary.wake(v_queues);
    end if;
end $$;
