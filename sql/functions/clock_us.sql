-- Microseconds of the server's real clock, never faked: the source of seq and of process ids.
create or replace function tributary.clock_us() returns bigint
language sql volatile parallel safe
as $$
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint
$$;
