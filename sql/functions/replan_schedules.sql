-- After a change of the server's clock: the next slots are computed anew, for one that lies behind a jump that was taken back would be
-- waited for until then. What has been fired has its key, so nothing is fired twice. Locks: schedules, skipped when held.
create or replace function tributary.replan_schedules() returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
begin
    update schedules s set next_slot = null, next_at = v_now, since = v_now
    where s.name = any (array(
        select f.name from schedules f where f.state = 'active' and f.next_slot > v_now for update skip locked));
end $$;
