-- How many in how many seconds: '100/s' is {100, 1}, '5000/h' {5000, 3600}, '1/90s' {1, 90}.
create or replace function tributary.read_rate(p_rate text) returns integer[]
language plpgsql immutable
as $$
begin
    if p_rate is null or p_rate !~ '^[0-9]{1,9}/([smhd]|[1-9][0-9]{0,5}s)$' then
        raise exception '% is not a rate', quote_nullable(p_rate) using errcode = 'TR001', hint = 'write 100/s, 600/m, 5000/h, 20/d, or none';
    end if;
    return array[
        split_part(p_rate, '/', 1)::integer,
        case split_part(p_rate, '/', 2) when 's' then 1 when 'm' then 60 when 'h' then 3600 when 'd' then 86400
        else rtrim(split_part(p_rate, '/', 2), 's')::integer end];
end $$;
