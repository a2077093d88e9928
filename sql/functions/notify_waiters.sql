-- The part of tell_waiters for when somebody waits: one notification per waiter with up to 200 ids, which fits into its 8,000 bytes, on
-- a channel that only this waiter listens to. Work that nobody waits for, or that has not ended, is not told of.
-- Locks: none. Index: awaited_pkey, then runs_pkey and steps_pkey for what is awaited.
create or replace function tributary.notify_waiters(p_shard smallint, p_ids uuid[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    -- what others wait for is not among these as a rule: one scan tells
    if not exists (select from awaited k where k.shard = p_shard and k.run_id = any (p_ids)) then
        return;
    end if;
    perform pg_notify('tributary_ended_' || replace(told.waiter_id::text, '-', ''), told.ids)
    from (
        select n.waiter_id, string_agg(n.run_id::text, ' ') as ids
        from (
            select a.waiter_id, a.run_id, (row_number() over (partition by a.waiter_id) - 1) / 200 as part
            from (
                -- a batch names a run as often as it has steps of it: what is found is made distinct, not what is looked for
                select distinct w.waiter_id, w.run_id
                from unnest(p_ids) as u(id)
                cross join lateral (
                    select k.waiter_id, k.run_id from awaited k where k.shard = p_shard and k.run_id = u.id offset 0
                ) as w
            ) as a
            where (select r.finished_at from runs r where r.shard = p_shard and r.run_id = a.run_id) is not null
               or (select s.finished_at from steps s
                   where s.shard = p_shard and s.run_id = a.run_id and s.ordinal = 0 and s.kind = 'intent') is not null
        ) as n
        group by n.waiter_id, n.part
    ) as told;
end $$;
