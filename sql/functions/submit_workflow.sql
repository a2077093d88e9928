-- Public. Starts a registered workflow in the caller's transaction and returns the run's id. Checks that required inputs are
-- there and of their type, all faults in DETAIL; everything else is decided by a worker.
create or replace function tributary.submit_workflow(
    name text, inputs jsonb default '{}', idempotency_key text default null, queue text default null,
    priority integer default null, run_after timestamptz default null, labels jsonb default '{}', tenant text default ''
) returns uuid
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_revision uuid;
    v_inputs jsonb;
    v_id uuid;
begin
    select w.revision_id into v_revision from workflows w where w.name = submit_workflow.name;
    if v_revision is null then
        raise exception 'no workflow named % is registered', quote_literal(name)
            using errcode = 'TR003', hint = 'register it once: trib register FILE';
    end if;
    v_inputs := check_inputs(v_revision, coalesce(inputs, '{}'));
    select r.run_id into v_id
    from submit_run(v_revision, name, v_inputs, idempotency_key,
                    jsonb_strip_nulls(jsonb_build_object('queue', queue, 'priority', priority)), null,
                    run_after, labels, tenant, null, null, null) as r;
    return v_id;
end $$;
