-- The least id that could have been made at this moment: ids are UUIDs of version 7, so they are ordered by time.
create or replace function tributary.first_id(p_at timestamptz) returns uuid
language sql immutable parallel safe
as $$
    select (lpad(to_hex(greatest(extract(epoch from p_at) * 1000, 0)::bigint), 12, '0') || '70000000000000000000')::uuid
$$;
