-- Publishes what a worker offers: [{name, description, options, input_schema, output_schema}]. is_enabled and an operator's runtime stay.
-- Unchanged names are not written. Returns the names that were never offered before: their waiting work has to be released.
create or replace function tributary.register_handlers(p_runtime text, p_handlers jsonb) returns text[]
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_new text[];
begin
    with offered as (
        select o.name, o.description, coalesce(o.options, '{}') as options, o.input_schema, o.output_schema
        from jsonb_to_recordset(p_handlers) as o(name text, description text, options jsonb, input_schema jsonb, output_schema jsonb)
    )
    select array_agg(o.name order by o.name) into v_new
    from offered o left join registry r on r.name = o.name
    where r.offered_at is null;
    insert into registry as r (name, runtime, description, options, input_schema, output_schema, offered_at, updated_at)
    select o.name, p_runtime, o.description, coalesce(o.options, '{}'), o.input_schema, o.output_schema, clock(), clock()
    from jsonb_to_recordset(p_handlers) as o(name text, description text, options jsonb, input_schema jsonb, output_schema jsonb)
    order by o.name
    on conflict (name) do update
    set description = excluded.description, options = excluded.options, input_schema = excluded.input_schema,
        output_schema = excluded.output_schema, offered_at = coalesce(r.offered_at, excluded.offered_at), updated_at = excluded.updated_at
    where (r.description, r.options, r.input_schema, r.output_schema) is distinct from
          (excluded.description, excluded.options, excluded.input_schema, excluded.output_schema) or r.offered_at is null;
    return coalesce(v_new, '{}');
end $$;
