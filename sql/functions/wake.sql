-- Tells waiting supervisors that these queues have work. Silent while none waits: a NOTIFY serialises commits.
create or replace function tributary.wake(queues text[]) returns void
language plpgsql volatile
as $$
begin
    if cardinality(queues) > 0 and exists (select from tributary.workers w where w.wants_wake) then
        perform pg_notify('tributary_wake', q) from (select distinct unnest(queues) as q) as named;
    end if;
end $$;
