-- Writes what expire_steps has decided, on intents that it has locked. What has put itself off has started, and expires no more.
-- By ctid alone, see complete_steps.
create or replace function tributary.write_expired(p_shard smallint, p_tids tid[], p_now timestamptz) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
set jit to off
as $$
begin
    with written as (
        update steps s
        set state = case when s.reason = 'snoozed' then s.state else 'cancelled' end,
            finished_at = case when s.reason = 'snoozed' then null else p_now end,
            expires_at = case when s.reason = 'snoozed' then null else s.expires_at end,
            reason = case when s.reason = 'snoozed' then s.reason else 'expired' end
        where s.ctid = any (p_tids) and s.shard = p_shard
        returning s.run_id, s.tenant_id, s.state
    )
    insert into event_log (run_id, at, ordinal, shard, tenant_id, type, data)
    select w.run_id, p_now, 0, p_shard, w.tenant_id, 'step_cancelled', '{"reason": "expired"}' from written w where w.state = 'cancelled';
end $$;
