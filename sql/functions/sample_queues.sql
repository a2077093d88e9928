-- The leader's look at the depth of all queues, kept in queue_stats; returns how many queues there are. Its cost does not grow with what
-- is ready: p_most rows are counted in all, every queue gets its share and what others leave of theirs, a hundred at least. Of what is
-- scheduled the 10,000 that are due next are counted, of what runs 20,000, of what waits for a name or a group 10,000 each.
-- seq counts the microseconds at which a row became ready. Queues of `trib run` and of closing steps are left out.
-- Locks: rows of queue_stats. Index: steps_ready, steps_due, steps_running, steps_no_handler, group_slots_pkey.
create or replace function tributary.sample_queues(p_most integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_hashjoin to off
set enable_mergejoin to off
set jit to off
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_shard smallint;
    v_queues text[];
    v_left integer := 0;
    v_shards integer := shard_count();
    v_cap integer;
    v_lanes integer;
    v_count bigint;
    v_oldest bigint;
    v_oldest_rough boolean;
    v_names text[];
    v_ready bigint[] := '{}';
    v_oldests bigint[] := '{}';
    v_more boolean[] := '{}';
    v_rough boolean[] := '{}';
    v_of text[] := '{}';
begin
    for v_shard in select generate_series(0, v_shards - 1) loop
        -- every shard gets its share, and what those before it have left
        v_left := v_left + p_most / v_shards;
        v_queues := array(
            with recursive ready (queue) as (
                select min(s.queue) from steps s where s.shard = v_shard and s.state = 'available'
                union all
                select (select min(s.queue) from steps s
                        where s.shard = v_shard and s.state = 'available'
                          -- the private queues of trib run are many and all start with @
                          and s.queue > case when ready.queue like '@%' then '@' || chr(1114111) else ready.queue end)
                from ready where ready.queue is not null
            )
            select r.queue from ready r where r.queue is not null and r.queue !~ '^[@~]' limit 1000);
        for i in 1 .. cardinality(v_queues) loop
            v_cap := greatest(100, v_left / (cardinality(v_queues) - i + 1));
            select count(*), min(few.seq) into v_count, v_oldest
            from (select s.seq from steps s where s.shard = v_shard and s.state = 'available' and s.queue = v_queues[i] limit v_cap) as few;
            v_oldest_rough := false;
            if v_count >= v_cap then
                -- the heads of its lanes, of 400 in all
                v_lanes := greatest(1, 400 / cardinality(v_queues));
                select least(v_oldest, min(l.first_seq)), count(*) >= v_lanes into v_oldest, v_oldest_rough
                from find_lanes(v_shard, array[v_queues[i]], v_lanes) as l;
            end if;
            v_left := v_left - v_count;
            v_of := v_of || v_queues[i];
            v_ready := v_ready || v_count;
            v_oldests := v_oldests || v_oldest;
            v_more := v_more || (v_count >= v_cap);
            v_rough := v_rough || v_oldest_rough;
        end loop;
    end loop;

    -- one set of facts: (queue, what, how many, whether that is all)
    with shards as materialized (
        select generate_series(0, shard_count() - 1)::smallint as shard
    ), scheduled as materialized (
        select few.queue from shards
        cross join lateral (select s.queue from steps s where s.shard = shards.shard and s.state = 'scheduled' order by s.run_at limit 10000) as few
    ), running as materialized (
        select few.queue from shards
        cross join lateral (select s.queue from steps s where s.shard = shards.shard and s.state = 'running' limit 20000) as few
    ), waiting as materialized (
        select few.queue from shards
        cross join lateral (select s.queue, s.state from steps s where s.shard = shards.shard and s.reason = 'no_handler' limit 10000) as few
        where few.state = 'waiting'
        union all
        select held.queue
        from shards
        cross join lateral (select g.run_id, g.ordinal from group_slots g
                            where g.shard = shards.shard and g.state = 'waiting' limit 10000) as g
        -- of a whole run its first steps
        cross join lateral (select s.queue, s.state, s.reason from steps s
                            where s.shard = shards.shard and s.run_id = g.run_id and (g.ordinal < 0 or s.ordinal = g.ordinal) offset 0) as held
        where held.state = 'waiting' and held.reason = 'group'
    ), facts as (
        select u.queue, 'ready' as what, u.n, u.more, u.oldest, u.rough
        from unnest(v_of, v_ready, v_more, v_oldests, v_rough) as u(queue, n, more, oldest, rough)
        union all
        select f.queue, 'scheduled', count(*), (select count(*) >= 10000 from scheduled), null, false from scheduled f group by f.queue
        union all
        select f.queue, 'running', count(*), (select count(*) >= 20000 from running), null, false from running f group by f.queue
        union all
        select f.queue, 'waiting', count(*), (select count(*) >= 10000 from waiting), null, false from waiting f group by f.queue
        union all
        select n.queue, 'known', 0, false, null, false
        from (select q.name as queue from queues q
              union select split_part(q, ':', 1) from workers w cross join unnest(w.queues) as q) as n
    ), sampled as (
        select f.queue,
               coalesce(sum(f.n) filter (where f.what = 'ready'), 0) as ready,
               coalesce(sum(f.n) filter (where f.what = 'scheduled'), 0) as scheduled,
               coalesce(sum(f.n) filter (where f.what = 'running'), 0) as running,
               coalesce(sum(f.n) filter (where f.what = 'waiting'), 0) as waiting,
               to_timestamp(min(f.oldest) / 1000000.0) as oldest_at,
               coalesce(array_agg(distinct f.what order by f.what) filter (where f.more), '{}')
                   || case when bool_or(f.rough) then '{oldest}'::text[] else '{}' end as more
        from facts f
        where f.queue !~ '^[@~]'
        group by f.queue
    ), written as (
        insert into queue_stats as q (queue, sampled_at, oldest_at, ready, scheduled, running, waiting, more)
        select s.queue, v_now, s.oldest_at, s.ready, s.scheduled, s.running, s.waiting, s.more from sampled s
        on conflict (queue) do update
        set sampled_at = excluded.sampled_at, oldest_at = excluded.oldest_at, ready = excluded.ready, scheduled = excluded.scheduled,
            running = excluded.running, waiting = excluded.waiting, more = excluded.more,
            ready_rate = case when 'ready' <> all (q.more || excluded.more) and excluded.sampled_at > q.sampled_at
                              then (excluded.ready - q.ready) / extract(epoch from excluded.sampled_at - q.sampled_at) end
        returning q.queue
    )
    select array_agg(w.queue) into v_names from written w;
    delete from queue_stats q where q.sampled_at < v_now and q.queue <> all (coalesce(v_names, '{}'));
    return coalesce(cardinality(v_names), 0);
end $$;
