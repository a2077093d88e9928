-- Whether who called may submit, but cannot write the rows himself, as workers, admins and the owner can.
create or replace function tributary.only_submits() returns boolean
language sql stable parallel safe
as $$
    select not has_table_privilege(tributary.invoker_name(), 'tributary.steps', 'insert')
$$;
