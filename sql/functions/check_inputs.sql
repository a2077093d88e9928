-- Required inputs present, known, and of their JSON type; defaults filled in. Raises TR001 with every fault in DETAIL.
create or replace function tributary.check_inputs(p_revision uuid, p_inputs jsonb) returns jsonb
language plpgsql stable
set search_path to tributary, pg_temp
as $$
declare
    v_declared jsonb;
    v_demanding boolean;
    v_function boolean;
    v_name text;
begin
    select coalesce(r.plan -> 'inputs', '{}'), r.plan ? 'preconditions', r.plan ? 'function', r.name into v_declared, v_demanding, v_function, v_name
    from revisions r where r.revision_id = p_revision;
    if v_demanding then
        raise exception 'workflow % has preconditions, which SQL cannot evaluate', v_name
            using errcode = 'TR001', hint = 'submit it with trib or a Python client';
    end if;
    if p_inputs ? '$sealed' then
        raise exception 'the inputs are encrypted, so that SQL cannot check them'
            using errcode = 'TR001', hint = 'start it with trib or a Python client that has the key';
    end if;
    if v_function then
        -- its types are Python's: whoever runs it checks them
        if jsonb_typeof(p_inputs) <> 'object' then
            raise exception 'the inputs of % must be a JSON object, not %', v_name, jsonb_typeof(p_inputs)
                using errcode = 'TR001', hint = 'name each input: {"name": value}';
        end if;
        return p_inputs;
    end if;
    return check_declared(v_declared, p_inputs, 'input', 'the inputs were refused', 'trib explain shows what a workflow takes');
end $$;
