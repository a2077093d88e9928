-- Adds to the histories of workflow functions what their claimed attempts have done, before these are finished in the same transaction.
-- p_events: a JSON array each, in order; p_statuses: what ctx.set_status said last, or null; p_left: what the function has left behind, which is
-- cancelled. Each is fenced by (step, seq at claim): nothing is written for a token that no longer stands. Returns the tokens that stand.
-- Locks: root runs by id, of all runs in p_locked: those that the transaction is going to lock later, so that it locks in one order; then the steps. Index: steps_pkey, history_pkey, progress_pkey.
create or replace function tributary.keep_history(
    p_shard smallint, p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_numbers integer[], p_events text[], p_statuses text[], p_left text[],
    p_locked uuid[]
) returns table (run_id uuid, ordinal integer, seq bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_at integer[];
    v_tenants text[];
    v_now timestamptz;
    i integer;
begin
    perform lock_runs(p_shard, p_locked);
    select array_agg(t.i::integer order by t.i), array_agg(held.tenant_id order by t.i) into v_at, v_tenants
    from unnest(p_run_ids, p_ordinals, p_seqs) with ordinality as t(run_id, ordinal, seq, i)
    cross join lateral (
        select s.state, s.seq, s.tenant_id from steps s
        where s.shard = p_shard and s.run_id = t.run_id and s.ordinal = t.ordinal
        for update offset 0
    ) as held
    where held.state = 'running' and held.seq = t.seq;
    if v_at is null then
        return;
    end if;
    v_now := clock();
    insert into history (run_id, at, number, shard, tenant_id, events)
    select p_run_ids[u.i], v_now, p_numbers[u.i], p_shard, u.tenant, p_events[u.i]::jsonb
    from unnest(v_at, v_tenants) as u(i, tenant)
    where p_events[u.i] <> '[]'
    -- as their index has them
    order by p_run_ids[u.i];
    update runs r set flags = r.flags | 128
    where r.shard = p_shard and r.flags & 128 = 0
      and r.run_id = any (array(select p_run_ids[u.i] from unnest(v_at) as u(i) where p_events[u.i]::jsonb @> '[{"type": "undo"}]'));
    if num_nonnulls(variadic p_statuses) > 0 then
        insert into progress (run_id, at, ordinal, shard, details)
        select p_run_ids[u.i], v_now, p_ordinals[u.i], p_shard, p_statuses[u.i]::jsonb
        from unnest(v_at) as u(i)
        where p_statuses[u.i] is not null
        order by p_run_ids[u.i]
        on conflict (shard, run_id, ordinal) do update
        set at = excluded.at, details = excluded.details;
    end if;
    if num_nonnulls(variadic p_left) > 0 then
        foreach i in array v_at loop
            perform leave_asked(p_shard, p_run_ids[i], array(select jsonb_array_elements_text(p_left[i]::jsonb)::integer), v_now) where p_left[i] is not null;
        end loop;
    end if;
    return query select t.run_id, t.ordinal, t.seq from unnest(p_run_ids, p_ordinals, p_seqs) with ordinality as t(run_id, ordinal, seq, i)
                 where t.i = any (v_at);
end $$;
