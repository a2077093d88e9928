-- Queue of a step; `trib run` gives a prefix that only its own process tree serves.
create or replace function tributary.private_queue(p_private text, p_queue text) returns text
language sql immutable parallel safe
as $$
    select coalesce(p_private || '/', '') || p_queue
$$;
