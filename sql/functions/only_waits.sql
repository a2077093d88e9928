-- Whether a step of this name only waits, for its child run, a time, a signal or an answer: it takes no room of what runs at once.
create or replace function tributary.only_waits(p_name text) returns boolean
language sql immutable parallel safe
as $$
    select p_name in ('trib.workflow.v1', 'trib.wait.v1', 'trib.approve.v1')
$$;
