-- Required inputs present, known, and of their JSON type; defaults filled in. Raises TR001 with every fault in DETAIL.
create or replace function tributary.check_inputs(p_revision uuid, p_inputs jsonb) returns jsonb
language plpgsql stable
set search_path to tributary, pg_temp
as $$
declare
    v_declared jsonb;
    v_faults text;
    v_demanding boolean;
    v_name text;
begin
    if jsonb_typeof(p_inputs) <> 'object' then
        raise exception 'inputs must be a JSON object, not %', jsonb_typeof(p_inputs)
            using errcode = 'TR001', hint = 'inputs look like {"email": "a@example.org"}';
    end if;
    select coalesce(r.plan -> 'inputs', '{}'), r.plan ? 'preconditions', r.name into v_declared, v_demanding, v_name
    from revisions r where r.revision_id = p_revision;
    if v_demanding then
        raise exception 'workflow % has preconditions, which SQL cannot evaluate', v_name
            using errcode = 'TR001', hint = 'submit it with trib or a Python client';
    end if;
    select string_agg(fault, E'\n' order by fault) into v_faults from (
        select format('input %I is required', d.key) as fault
        from jsonb_each(v_declared) d
        where (d.value ->> 'required')::boolean and not d.value ? 'default' and not p_inputs ? d.key
        union all
        select format('input %I is not declared', g.key) from jsonb_each(p_inputs) g where not v_declared ? g.key
        union all
        select format('input %I must be %s %s, not %s', g.key, case when d.value ->> 'type' ~ '^[aeio]' then 'an' else 'a' end, d.value ->> 'type', jsonb_typeof(g.value))
        from jsonb_each(p_inputs) g join jsonb_each(v_declared) d on d.key = g.key
        where not case when g.value = 'null' and not coalesce((d.value ->> 'required')::boolean, false) then true
            else case d.value ->> 'type'
            when 'integer' then jsonb_typeof(g.value) = 'number' and g.value::numeric = trunc(g.value::numeric)
            when 'number' then jsonb_typeof(g.value) = 'number'
            when 'boolean' then jsonb_typeof(g.value) = 'boolean'
            when 'list' then jsonb_typeof(g.value) = 'array'
            when 'object' then jsonb_typeof(g.value) = 'object'
            when 'choice' then true
            else jsonb_typeof(g.value) = 'string' end end
    ) as faults;
    if v_faults is not null then
        raise exception 'the inputs were refused' using errcode = 'TR001', detail = v_faults, hint = 'trib explain shows what a workflow takes';
    end if;
    -- null stands for what was left out
    return coalesce((
        select jsonb_object_agg(d.key, coalesce(nullif(p_inputs -> d.key, 'null'), d.value -> 'default', 'null'))
        from jsonb_each(v_declared) d), '{}');
end $$;
