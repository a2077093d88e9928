-- Removes clients that stopped renewing their rows: they were killed, or are gone for good. Returns how many.
-- Locks: the waiters' rows. Index: awaited_by_waiter; waiters is small.
create or replace function tributary.sweep_waiters() returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_gone uuid[];
    v_now timestamptz := clock_timestamp();
begin
    with gone as (delete from waiters w where w.expires_at < v_now returning w.waiter_id)
    select array_agg(g.waiter_id) into v_gone from gone g;
    if v_gone is not null then
        delete from awaited a where a.waiter_id = any (v_gone);
    end if;
    return coalesce(cardinality(v_gone), 0);
end $$;
