-- How many of p_want rows a claim may take by the limits that this key stands for (limit_of), a queue's or a tenant's, over all workers. The caller keeps the counter until its
-- commit, so claims under one limit come one after another; 0 as well while another one is at it, which nobody waits for.
-- Nothing is counted up or down: an attempt counts while its step is running with the seq of its slot. So no slot can leak, and a finish,
-- a cancel or a rescue frees it by what it does anyway. Slots are looked through only where the limit is near.
-- Locks: the counter by SKIP LOCKED. Index: queue_counters_pkey, queue_slots_pkey, steps_pkey; in a census steps_running.
create or replace function tributary.queue_room(p_queue text, p_want integer) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
declare
    v_concurrency integer;
    v_rate float8;
    v_tokens float8;
    v_filled_at timestamptz;
    v_census_until timestamptz;
    v_now timestamptz;
    v_room integer := p_want;
    v_held integer;
begin
    select c.tokens, c.filled_at, c.census_until into v_tokens, v_filled_at, v_census_until
    from queue_counters c where c.queue = p_queue
    for no key update skip locked;
    if not found then
        -- another claim is at it, or it has no limit any more
        return case when exists (select from limit_of(p_queue)) then 0 else p_want end;
    end if;
    -- statements of their own: their snapshots are taken under the lock, and see the claims of all who had it before
    select l.concurrency, l.rate into v_concurrency, v_rate from limit_of(p_queue) as l;
    v_now := clock();
    if v_concurrency is not null then
        if clock_timestamp() < v_census_until then
            insert into queue_slots (run_id, seq, ordinal, shard, queue)
            select s.run_id, s.seq, s.ordinal, s.shard, p_queue
            from generate_series(0, shard_count() - 1) as n(shard)
            join steps s on s.shard = n.shard::smallint and s.state = 'running' and p_queue = any (limit_keys(s.queue, s.tenant_id))
            on conflict (queue, shard, run_id, ordinal) do update set seq = excluded.seq where queue_slots.seq <> excluded.seq;
        end if;
        select count(*) into v_held from queue_slots k where k.queue = p_queue;
        if v_held + p_want > v_concurrency then
            delete from queue_slots k where k.ctid = any (array(
                select h.ctid from queue_slots h
                left join lateral (
                    select s.state, s.seq from steps s
                    where s.shard = h.shard and s.run_id = h.run_id and s.ordinal = h.ordinal offset 0
                ) as held on true
                where h.queue = p_queue and (held.state is distinct from 'running' or held.seq is distinct from h.seq)));
            select count(*) into v_held from queue_slots k where k.queue = p_queue;
            v_room := least(v_room, v_concurrency - v_held);
        end if;
    end if;
    if v_rate is not null then
        if v_filled_at > v_now then
            -- the clock was set back: time counts from here
            update queue_counters c set filled_at = v_now where c.queue = p_queue;
        end if;
        v_room := least(v_room, floor(queue_tokens(v_tokens, v_filled_at, v_rate, v_now))::integer);
    end if;
    return greatest(v_room, 0);
end $$;
