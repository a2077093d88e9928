-- Whether a step is one that a workflow function has asked for: the function decides what its failure means, so that its run counts none.
create or replace function tributary.is_asked(p_flags smallint) returns boolean
language sql immutable parallel safe
as $$
    select p_flags & 24576 = 16384
$$;
