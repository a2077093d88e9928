-- Attempts under these limits (keys of limit_of) have ended: where a limit of concurrency has kept others waiting and leaves room now, workers are told.
-- Said after the caller's own claim, so that it is silent where the caller took the slot itself. Index: queues_pkey, steps_ready.
create or replace function tributary.wake_freed(p_queues text[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
begin
    perform wake(array(
        select q.name
        from queues q
        where q.name = any (p_queues) and q.concurrency is not null and not q.paused
          and exists (
              select from generate_series(0, shard_count() - 1) as n(shard)
              cross join lateral (select from steps s where s.shard = n.shard::smallint and s.queue = q.name and s.state = 'available'
                                  limit 1) as found)
          and queue_opens(q.name) = 0));
    -- whose tenant it is may wait in any queue that somebody serves who waits
    if exists (select from unnest(p_queues) as u(key) where u.key like 'tenant:%') then
        perform wake(array(
            select distinct l.queue
            from unnest(p_queues) as u(key)
            cross join lateral limit_of(u.key) as m
            cross join (select array_agg(distinct split_part(served, ':', 1)) as names
                        from workers w cross join unnest(w.queues) as served where w.wants_wake) as queues
            cross join generate_series(0, shard_count() - 1) as n(shard)
            cross join lateral find_lanes(n.shard::smallint, queues.names, 1000) as l
            where u.key like 'tenant:%' and m.concurrency is not null and l.tenant_id = substr(u.key, 8) and queue_opens(u.key) = 0));
    end if;
end $$;
