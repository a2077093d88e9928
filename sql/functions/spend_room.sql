-- Takes slots and tokens of limits (p_limited, keys of limit_of) for rows that the caller has locked after queue_room and claims at p_now: the time
-- from which the next tokens count, so that also what is preempted between here and there keeps a rate.
-- Index: queues_pkey, queue_counters_pkey; the rows by ctid.
create or replace function tributary.spend_room(p_shard smallint, p_limited text[], p_tids tid[], p_now timestamptz) returns void
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
    v_spent record;
    v_concurrency integer;
    v_rate float8;
begin
    for v_spent in
        select k.key, count(*) as n, array_agg(s.run_id) as run_ids, array_agg(s.ordinal) as ordinals, array_agg(s.seq) as seqs
        from steps s
        cross join lateral unnest(limit_keys(s.queue, s.tenant_id)) as k(key)
        where s.ctid = any (p_tids) and s.shard = p_shard and k.key = any (p_limited)
        group by k.key
    loop
        select l.concurrency, l.rate into v_concurrency, v_rate from limit_of(v_spent.key) as l;
        insert into queue_slots (run_id, seq, ordinal, shard, queue)
        select u.run_id, u.seq, u.ordinal, p_shard, v_spent.key
        from unnest(v_spent.run_ids, v_spent.seqs, v_spent.ordinals) as u(run_id, seq, ordinal)
        where v_concurrency is not null
        on conflict (queue, shard, run_id, ordinal) do update set seq = excluded.seq;
        update queue_counters c
        set tokens = queue_tokens(c.tokens, c.filled_at, v_rate, p_now) - v_spent.n, filled_at = p_now
        where c.queue = v_spent.key and v_rate is not null;
    end loop;
end $$;
