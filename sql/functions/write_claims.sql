-- Writes the claim of rows that the caller has locked; tid is where each row lies afterwards. By ctid alone, see complete_steps.
-- What has expired unstarted is left alone: expire_steps cancels it.
create or replace function tributary.write_claims(p_shard smallint, p_process bigint, p_tids tid[], p_python boolean, p_now timestamptz)
returns table (
    run_id uuid, ordinal integer, seq bigint, tid tid, kind step_kind, name text, step_id text, item_key text, queue text,
    priority smallint, tenant_id text, attempt smallint, attempt_base smallint, max_attempts smallint, crashes smallint, flags smallint,
    lone_crashes smallint, payload jsonb, correlated boolean
)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_indexscan to off
set enable_indexonlyscan to off
as $$
#variable_conflict use_column
begin
    return query
        update steps s
        set state = 'running', attempt = s.attempt + 1, process_id = p_process, claimed_at = p_now,
            -- other languages start what they claim; Python records the start of an at-most-once attempt itself
            -- a sub-workflow whose child run is through has started long ago
            started_at = case when not p_python and s.max_attempts = 1 then p_now when s.flags & 8192 = 8192 and s.name = 'trib.workflow.v1' then s.started_at end,
            reason = null
        where s.ctid = any (p_tids) and s.shard = p_shard
          and (s.expires_at is null or s.expires_at > p_now or s.attempt > 0 or s.reason = 'snoozed')
        returning s.run_id, s.ordinal, s.seq, s.ctid, s.kind, s.name, s.step_id, s.item_key, s.queue, s.priority, s.tenant_id, s.attempt,
                  s.attempt_base, s.max_attempts, s.crashes, s.flags, s.lone_crashes, s.payload, s.correlated;
end $$;
