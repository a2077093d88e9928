-- Takes ended needs off these blocked steps, locked by the caller; a step whose needs have all ended becomes available, scheduled,
-- waiting, or is skipped because one of them ended badly. Rows are reached by ctid alone, see complete_steps.
create or replace function tributary.decide_steps(p_shard smallint, p_tids tid[], p_counts integer[], p_bad boolean[], p_now timestamptz)
returns table (run_id uuid, ordinal integer, state step_state, queue text, name text)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
as $$
#variable_conflict use_column
begin
    return query
        update steps s
        set unmet = s.unmet - child.n,
            flags = case when child.bad then s.flags | 2 else s.flags end,
            run_at = next.run_at, state = next.state,
            reason = case when next.state = 'skipped' then 'upstream' else s.reason end,
            finished_at = case when next.state = 'skipped' then p_now end,
            seq = case when next.state = 'available' then greatest(s.seq + 1, clock_us() + child.i) else s.seq end
        from unnest(p_tids, p_counts, p_bad) with ordinality as child(tid, n, bad, i)
        cross join lateral (
            select k.ctid as tid, due.run_at,
                   case when k.unmet > child.n then 'blocked'
                        when (child.bad or k.flags & 2 = 2) and k.flags & 4 = 0 then 'skipped'
                        when k.reason = 'no_handler' then 'waiting'
                        when due.run_at > p_now then 'scheduled'
                        else 'available' end::step_state as state
            from steps k
            cross join lateral (
                select case when k.flags & 16 = 16 and k.unmet = child.n
                            then (select due_at(p.options -> 'run_after', p_now) from payloads p
                                  where p.shard = p_shard and p.run_id = k.run_id and p.ordinal = k.ordinal)
                            else k.run_at end as run_at
            ) as due
            where k.ctid = child.tid and k.shard = p_shard
            offset 0
        ) as next
        where s.ctid = next.tid and s.shard = p_shard
        returning s.run_id, s.ordinal, s.state, s.queue, s.name;
end $$;
