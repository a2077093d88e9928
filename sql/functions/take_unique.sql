-- Takes a unique key of a name for p_id and returns no row, or returns who holds it: unfinished work, or with p_period whatever was
-- recorded within that time and is still there. Waits for a concurrent taker to commit or roll back, and keeps the key's row locked.
-- Nothing is written when the holder ends: its state is looked up here.
-- Locks: the key's row. Index: unique_keys_pkey, runs_pkey, steps_pkey.
create or replace function tributary.take_unique(p_shard smallint, p_tenant text, p_name text, p_key text, p_period interval, p_id uuid)
returns table (run_id uuid, kind text, state text, first_at timestamptz)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock();
    v_taken timestamptz;
begin
    loop
        insert into unique_keys (run_id, taken_at, first_at, until, shard, tenant_id, name, key)
        values (p_id, v_now, v_now, v_now + p_period, p_shard, p_tenant, p_name, p_key)
        on conflict (shard, tenant_id, name, key) do nothing;
        if found then
            return;
        end if;
        select u.run_id, u.taken_at, u.first_at into run_id, v_taken, first_at
        from unique_keys u
        where u.shard = p_shard and u.tenant_id = p_tenant and u.name = p_name and u.key = p_key
        for update;
        -- gone when it was forgotten in this very moment
        exit when found;
    end loop;
    v_now := clock();
    select 'run', r.state::text into kind, state from runs r where r.shard = shard_of(take_unique.run_id) and r.run_id = take_unique.run_id;
    if not found then
        select 'intent', s.state::text into kind, state
        from steps s where s.shard = shard_of(take_unique.run_id) and s.run_id = take_unique.run_id and s.ordinal = 0 and s.kind = 'intent';
    end if;
    if state is not null and (v_taken + p_period > v_now
            or (p_period is null and state not in ('completed', 'failed', 'skipped', 'cancelled', 'discarded'))) then
        -- the sweep keeps it for the longest period that somebody has asked for
        update unique_keys u set until = v_taken + p_period
        where u.shard = p_shard and u.tenant_id = p_tenant and u.name = p_name and u.key = p_key
          and (u.until < v_taken + p_period or (u.until is null and p_period is not null));
        return next;
    else
        perform pass_unique(p_shard, p_tenant, p_name, p_key, p_period, p_id, v_now);
    end if;
end $$;
