-- max_attempts where no level gives one: 1 for actions that cannot be told harmless and for those that wait for others, else 3.
create or replace function tributary.builtin_attempts(p_name text) returns smallint
language sql immutable parallel safe
as $$
    select case when p_name in ('trib.shell.v1', 'trib.workflow.v1', 'trib.wait.v1', 'trib.approve.v1') then 1 else 3 end::smallint
$$;
