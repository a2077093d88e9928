-- A client waits no more: it goes, with all that it waited for. With the owner's rights, as await_ends.
-- Locks: the waiter's row, then its rows of awaited. Index: waiters_pkey, awaited_by_waiter.
create or replace function tributary.leave_waiters(p_waiter uuid) returns void
language plpgsql volatile security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    delete from waiters w where w.waiter_id = p_waiter;
    delete from awaited a where a.waiter_id = p_waiter;
end $$;
