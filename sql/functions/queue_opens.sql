-- When work under a limit (limit_of: a queue's name, or tenant: and a tenant) may be claimed: 0 now, seconds until its rate allows the next attempt, null when it is full and has to wait
-- for one of its attempts to end. Looks without a lock; claims look again. Index: queues_pkey, queue_counters_pkey, queue_slots_pkey, steps_pkey.
create or replace function tributary.queue_opens(p_queue text) returns float8
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
begin
    select l.concurrency, l.rate, queue_tokens(c.tokens, c.filled_at, l.rate, clock())
    into v_concurrency, v_rate, v_tokens
    from limit_of(p_queue) as l
    join queue_counters c on c.queue = p_queue;
    if v_concurrency is not null and queue_held(p_queue) >= v_concurrency then
        return null;
    end if;
    return coalesce(case when v_tokens < 1 then (1 - v_tokens) / v_rate end, 0);
end $$;
