-- Refuses a run or an intent of a tenant that the session does not act for, in the words for one that does not exist: TR003. Locks: none.
create or replace function tributary.check_sight(p_id uuid) returns void
language plpgsql stable
set search_path to tributary, pg_temp
as $$
begin
    if not sees_work(p_id) then
        raise exception 'no run or intent has the id %', p_id using errcode = 'TR003', hint = 'list them: trib list';
    end if;
end $$;
