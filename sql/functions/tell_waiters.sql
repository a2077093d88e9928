-- Tells the clients that wait for any of these runs and intents of those that have ended by now. Silent, and one look at an almost empty
-- table, while nobody waits for anything. Asked once per statement, after its writes: the look has a snapshot of its own, so it finds
-- whoever has registered until then; who registers between it and the commit looks again by itself.
-- Locks: none. Index: none here; see notify_waiters.
create or replace function tributary.tell_waiters(p_shard smallint, p_ids uuid[]) returns void
language plpgsql volatile
as $$
begin
    if exists (select from tributary.waiters) then
        perform tributary.notify_waiters(p_shard, p_ids);
    end if;
end $$;
