-- Takes slots and tokens of a limited queue for rows that the caller is about to claim and has locked, after queue_room.
-- Index: queues_pkey, queue_counters_pkey; the rows by ctid.
create or replace function tributary.spend_room(p_shard smallint, p_queue text, p_tids tid[]) returns void
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
    v_now timestamptz := clock();
begin
    select q.concurrency, q.rate::float8 / q.rate_per into v_concurrency, v_rate from queues q where q.name = p_queue;
    if v_concurrency is not null then
        insert into queue_slots (run_id, seq, ordinal, shard, queue)
        select s.run_id, s.seq, s.ordinal, s.shard, p_queue from steps s where s.ctid = any (p_tids) and s.shard = p_shard
        on conflict (queue, shard, run_id, ordinal) do update set seq = excluded.seq;
    end if;
    if v_rate is not null then
        update queue_counters c
        set tokens = queue_tokens(c.tokens, c.filled_at, v_rate, v_now) - cardinality(p_tids), filled_at = v_now
        where c.queue = p_queue;
    end if;
end $$;
