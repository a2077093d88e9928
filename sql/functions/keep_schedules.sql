-- Makes the schedules of a workflow those of its plan: the first is named as the workflow, the others NAME#2, NAME#3 …
-- Locks: the schedules' rows, in the order of the plan.
create or replace function tributary.keep_schedules(p_workflow text, p_entries jsonb) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_names text[] := '{}';
    v_entry record;
begin
    for v_entry in
        select e.value as given, p_workflow || case when e.ordinality > 1 then '#' || e.ordinality else '' end as name
        from jsonb_array_elements(case when jsonb_typeof(p_entries) = 'array' then p_entries else '[]' end) with ordinality as e
        order by e.ordinality
    loop
        perform keep_schedule(v_entry.name, '', 'run', p_workflow, v_entry.given ->> 'cron', coalesce(v_entry.given ->> 'timezone', 'UTC'),
                              coalesce(nullif(v_entry.given -> 'inputs', 'null'), '{}'), '{}', '{}', coalesce(v_entry.given ->> 'overlap', 'skip'),
                              coalesce((v_entry.given ->> 'catchup')::float8, 0), coalesce((v_entry.given ->> 'jitter')::float8, 0),
                              false, p_workflow);
        v_names := v_names || v_entry.name;
    end loop;
    delete from schedules s where s.workflow = p_workflow and s.name <> all (v_names);
end $$;
