-- Whether the engine runs steps of this name itself, whatever handlers a worker offers.
create or replace function tributary.is_control(p_name text) returns boolean
language sql immutable parallel safe
as $$
    select p_name in ('trib.fan.v1', 'trib.options.v1', 'trib.workflow.v1', 'trib.wait.v1', 'trib.approve.v1')
$$;
