-- Queue of a step; what `trib run` submits goes to the one queue that only its own process tree serves.
create or replace function tributary.private_queue(p_private text, p_queue text) returns text
language sql immutable parallel safe
as $$
    select coalesce(p_private, p_queue)
$$;
