-- What is declared like inputs is present where it is required, known, and of its JSON type; returns it with the defaults filled in. p_word: what one
-- of it is called. Raises TR001 with p_message and every fault in DETAIL.
create or replace function tributary.check_declared(p_declared jsonb, p_given jsonb, p_word text, p_message text, p_hint text) returns jsonb
language plpgsql immutable
set search_path to tributary, pg_temp
as $$
declare
    v_faults text;
begin
    if jsonb_typeof(p_given) <> 'object' then
        raise exception '%ss must be a JSON object, not %', p_word, jsonb_typeof(p_given)
            using errcode = 'TR001', hint = format('%ss look like {"email": "a@example.org"}', p_word);
    end if;
    select string_agg(fault, E'\n' order by fault) into v_faults from (
        select format('%s %I is required', p_word, d.key) as fault
        from jsonb_each(p_declared) d
        where (d.value ->> 'required')::boolean and not d.value ? 'default' and not p_given ? d.key
        union all
        select format('%s %I is not declared', p_word, g.key) from jsonb_each(p_given) g where not p_declared ? g.key
        union all
        select format('%s %I must be %s %s, not %s', p_word, g.key, case when d.value ->> 'type' ~ '^[aeio]' then 'an' else 'a' end, d.value ->> 'type', jsonb_typeof(g.value))
        from jsonb_each(p_given) g join jsonb_each(p_declared) d on d.key = g.key
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
        raise exception '%', p_message using errcode = 'TR001', detail = v_faults, hint = p_hint;
    end if;
    -- null stands for what was left out
    return coalesce((
        select jsonb_object_agg(d.key, coalesce(nullif(p_given -> d.key, 'null'), d.value -> 'default', 'null'))
        from jsonb_each(p_declared) d), '{}');
end $$;
