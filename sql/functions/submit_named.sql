-- submit_row for clients: one statement decides and tells all. When p_named and a workflow is registered under the name, nothing is stored, and
-- its revision comes back with an id of null. names: every handler and workflow there is, to guess from, when nobody has offered this one.
create or replace function tributary.submit_named(
    p_name text, p_named boolean, p_payload jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_delay float8, p_tenant text, p_private text
) returns table (run_id uuid, created boolean, state text, queue text, known boolean, names text[], revision_id uuid, hash text, plan jsonb)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
begin
    if p_named then
        return query
            select null::uuid, null::boolean, null::text, null::text, null::boolean, null::text[], v.revision_id, v.hash, v.plan
            from workflows w join revisions v on v.revision_id = w.revision_id
            where w.name = p_name;
        if found then
            return;
        end if;
    end if;
    if only_submits() then
        perform spend_submits(1);
    end if;
    return query
        select r.run_id, r.created, r.state, r.queue, r.known,
               case when not r.known then array(select g.name from registry g where g.offered_at is not null union all select w.name from workflows w) end,
               null::uuid, null::text, null::jsonb
        from submit_row(p_name, p_payload, p_key, p_submit, p_config, coalesce(p_run_at, clock() + make_interval(secs => p_delay)),
                        tenant_to_submit(p_tenant), p_private, null) as r;
end $$;
