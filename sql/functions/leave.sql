-- A worker or some of its processes stop: their rows go, so that nothing waits for their lease to end.
create or replace function tributary.leave(p_worker bigint, p_processes bigint[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    delete from processes p where p.process_id = any (p_processes);
    delete from workers w where w.worker_id = p_worker;
    delete from leaders l where l.worker_id = p_worker;
end $$;
