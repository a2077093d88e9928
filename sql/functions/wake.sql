-- Tells waiting supervisors that these queues have work. Silent while none waits: a transaction with a NOTIFY keeps a lock on the whole
-- database until its commit is flushed, so such commits go one by one. submit_alone has the queues kept, and wakes after its commit.
create or replace function tributary.wake(queues text[]) returns void
language plpgsql volatile
as $$
declare
    v_kept text := current_setting('tributary.kept_wakes', true);
begin
    if cardinality(queues) > 0 then
        if v_kept <> '' then
            perform set_config('tributary.kept_wakes', (v_kept::text[] || queues)::text, true);
        elsif exists (select from tributary.workers w where w.wants_wake) then
            perform pg_notify('tributary_wake', q) from (select distinct unnest(queues) as q) as named;
        end if;
    end if;
end $$;
