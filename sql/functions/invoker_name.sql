-- The role that called, also within a function that runs with its owner's rights: who logged in, or what SET ROLE says.
create or replace function tributary.invoker_name() returns text
language sql stable parallel safe
as $$
    select case when current_setting('role') = 'none' then session_user::text else current_setting('role') end
$$;
