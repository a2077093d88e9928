-- The id that follows this one in the order of all.
create or replace function tributary.next_id(p_id uuid) returns uuid
language sql immutable parallel safe
as $$
    select (left(digits, 17) || lpad(to_hex(('x' || right(digits, 15))::bit(60)::bigint + 1), 15, '0'))::uuid
    from (select replace(p_id::text, '-', '') as digits) as source
$$;
