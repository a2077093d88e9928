-- submit_named as a transaction of its own, which wakes after its commit: the NOTIFY then holds its lock over no flush, and whoever looked
-- for waiting supervisors too early to see one has committed before that one looks for work. What fails after the commit (the server
-- stops, or a statement_timeout ends a slow flush) leaves the intent recorded, and found by polling.
-- Without settings of its own, since a procedure with any may not commit.
create or replace procedure tributary.submit_alone(
    p_name text, p_named boolean, p_payload jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_delay float8, p_tenant text, p_private text,
    inout run_id uuid, inout created boolean, inout state text, inout queue text, inout known boolean, inout names text[],
    inout revision_id uuid, inout hash text, inout plan jsonb
)
language plpgsql
as $$
declare
    v_queues text[];
begin
    perform set_config('tributary.kept_wakes', '{}', true);
    select r.run_id, r.created, r.state, r.queue, r.known, r.names, r.revision_id, r.hash, r.plan
    into run_id, created, state, queue, known, names, revision_id, hash, plan
    from tributary.submit_named(p_name, p_named, p_payload, p_key, p_submit, p_config, p_run_at, p_delay, p_tenant, p_private) as r;
    v_queues := current_setting('tributary.kept_wakes');
    if cardinality(v_queues) > 0 then
        commit;
        perform tributary.wake(v_queues);
    end if;
end $$;
