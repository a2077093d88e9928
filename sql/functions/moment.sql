-- A time as a submit names it: text, or seconds from now. p_what: how the caller calls it, for the refusal.
create or replace function tributary.moment(p_what text, p_value jsonb) returns timestamptz
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    if jsonb_typeof(p_value) = 'number' then
        return clock() + make_interval(secs => p_value::float8);
    end if;
    return (p_value #>> '{}')::timestamptz;
exception when data_exception then
    raise exception '% must be a time or seconds from now, not %', p_what, left(p_value::text, 60)
        using errcode = 'TR001', hint = 'such as "2030-01-31T12:00:00Z"';
end $$;
