-- A client waits: its row is made or renewed for a minute, p_new are added to what it waits for, p_done taken from it. It listens on the
-- channel tributary_ended_ with its id in hex. Where p_probe names a channel, it has a notification sent there, to learn whether any come.
-- Returns whether its row is new: then all that it had registered before is gone, and comes again.
-- Runs with the owner's rights, so that whoever may only read may wait; it writes nothing but these two tables of ids.
-- Locks: the waiter's row. Index: waiters_pkey, awaited_pkey.
create or replace function tributary.await_ends(p_waiter uuid, p_new uuid[], p_done uuid[], p_probe text) returns boolean
language plpgsql volatile security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_made boolean;
    v_new uuid[] := array(select u.id from unnest(p_new) as u(id) where sees_work(u.id));
begin
    insert into waiters as w (waiter_id, expires_at) values (p_waiter, clock_timestamp() + interval '60 seconds')
    on conflict (waiter_id) do update set expires_at = excluded.expires_at
    returning w.xmax = 0 into v_made;
    insert into awaited (run_id, waiter_id, shard)
    select u.id, p_waiter, shard_of(u.id) from unnest(v_new) as u(id)
    on conflict do nothing;
    if cardinality(p_done) > 0 then
        delete from awaited a using unnest(p_done) as u(id)
        where a.shard = shard_of(u.id) and a.run_id = u.id and a.waiter_id = p_waiter;
    end if;
    if p_probe is not null then
        perform pg_notify(p_probe, '');
    end if;
    return v_made;
end $$;
