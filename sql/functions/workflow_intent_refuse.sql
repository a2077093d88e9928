-- INSTEAD OF UPDATE OR DELETE on workflow_intent.
create or replace function tributary.workflow_intent_refuse() returns trigger
language plpgsql
as $$
begin
    raise exception 'workflow_intent takes inserts only, no %', lower(tg_op)
        using errcode = 'TR004', hint = 'select tributary.cancel(id), tributary.retry(id); finished rows leave by retention';
end $$;
