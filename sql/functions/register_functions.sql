-- Registers the workflow functions that a worker offers: [{name, plan, description}], plans with `function` alone, so that they are submitted by
-- name from everywhere. Unchanged ones are not written. A name that a workflow of a file has stays that one's; returns these.
-- Runs with its owner's rights: a worker names no other workflows. Index: workflows_pkey, revisions_pkey.
create or replace function tributary.register_functions(p_functions jsonb) returns text[]
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
declare
    v_function record;
    v_known jsonb;
    v_taken text[] := '{}';
begin
    for v_function in select f.name, f.plan, f.description
                      from jsonb_to_recordset(p_functions) as f(name text, plan jsonb, description text) order by f.name loop
        if v_function.plan -> 'function' is distinct from 'true' or v_function.plan ->> 'name' is distinct from v_function.name
                or v_function.plan #>> '{steps,0,name}' is distinct from v_function.name or jsonb_array_length(v_function.plan -> 'steps') <> 1 then
            raise exception '% is no workflow function', quote_literal(v_function.name) using errcode = 'TR001', hint = 'register workflows of files: trib register FILE';
        end if;
        select v.plan into v_known from workflows w join revisions v using (revision_id) where w.name = v_function.name;
        if found and v_known -> 'function' is distinct from 'true' then
            v_taken := v_taken || v_function.name;
            continue;
        end if;
        -- the hash of what it is, and of nothing that a file could be
        perform register_workflow(v_function.name, save_revision(v_function.name, encode(sha256(convert_to('function' || v_function.plan::text, 'UTF8')), 'hex'),
                                                                 '', v_function.plan), v_function.description);
    end loop;
    return v_taken;
end $$;
