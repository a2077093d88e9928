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
declare
    v_open text[];
    v_queues text[];
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
    v_open := array(select substr(u.key, 8) from unnest(p_queues) as u(key) where u.key like 'tenant:%' and exists (
        select from limit_of(u.key) as m where m.concurrency is not null));
    v_open := array(select t from unnest(v_open) as t where queue_opens('tenant:' || t) = 0);
    if cardinality(v_open) > 0 then
        v_queues := array(select distinct split_part(served, ':', 1)
                          from workers w cross join unnest(w.queues) as served where w.wants_wake);
        perform wake(array(
            select distinct l.queue
            from generate_series(0, shard_count() - 1) as n(shard)
            cross join lateral find_lanes(n.shard::smallint, v_queues, 100) as l
            where l.tenant_id = any (v_open)));
    end if;
end $$;
