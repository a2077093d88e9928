-- Puts values that were sealed anew into the place of those that p_old tells, and nothing where other ones stand there by now. Returns whether
-- that was done. For `trib keys rotate`. Locks: the row; runs and steps by SKIP LOCKED. Index: the primary key of each table.
create or replace function tributary.reseal_row(p_shard smallint, p_source text, p_at text[], p_old jsonb, p_new jsonb) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    case p_source
    when 'steps' then
        -- who has it writes it in a moment, and waits for nobody here
        perform from steps t
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and t.state <> 'running' and coalesce(t.payload, 'null') = p_old -> 'payload' and coalesce(t.result, 'null') = p_old -> 'result'
        for update skip locked;
        if not found then
            return false;
        end if;
        update steps t set payload = case when t.payload is not null then p_new -> 'payload' end, result = case when t.result is not null then p_new -> 'result' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer;
    when 'payloads' then
        update payloads t set payload = case when t.payload is not null then p_new -> 'payload' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and coalesce(t.payload, 'null') = p_old -> 'payload';
    when 'runs' then
        -- who has it writes it in a moment, and waits for nobody here
        perform from runs t
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and coalesce(t.result, 'null') = p_old -> 'result' and coalesce(t.error, 'null') = p_old -> 'error'
        for update skip locked;
        if not found then
            return false;
        end if;
        update runs t set result = case when t.result is not null then p_new -> 'result' end, error = case when t.error is not null then p_new -> 'error' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid;
    when 'attempts' then
        update attempts t set error = case when t.error is not null then p_new -> 'error' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and t.seq = p_at[3]::bigint and coalesce(t.error, 'null') = p_old -> 'error';
    when 'dead_letters' then
        update dead_letters t set error = case when t.error is not null then p_new -> 'error' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and coalesce(t.error, 'null') = p_old -> 'error';
    when 'progress' then
        update progress t set details = case when t.details is not null then p_new -> 'details' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and coalesce(t.details, 'null') = p_old -> 'details';
    when 'history' then
        update history t set events = case when t.events is not null then p_new -> 'events' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.number = p_at[2]::integer and coalesce(t.events, 'null') = p_old -> 'events';
    when 'event_log' then
        update event_log t set data = case when t.data is not null then p_new -> 'data' end
        where t.shard = p_shard and t.event_id = p_at[1]::bigint and coalesce(t.data, 'null') = p_old -> 'data';
    when 'signals' then
        update signals t set payload = case when t.payload is not null then p_new -> 'payload' end
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.number = p_at[2]::integer and coalesce(t.payload, 'null') = p_old -> 'payload';
    when 'waits' then
        update waits t set payload = case when t.payload is not null then p_new -> 'payload' end, prompt = p_new ->> 'prompt'
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and coalesce(t.payload, 'null') = p_old -> 'payload' and t.prompt is not distinct from p_old ->> 'prompt';
    when 'log_chunks' then
        update log_chunks t set entries = (p_new -> 'entries')::json
        where t.shard = p_shard and t.run_id = p_at[1]::uuid and t.ordinal = p_at[2]::integer and t.seq = p_at[3]::bigint and t.part = p_at[4]::integer and coalesce(t.entries::jsonb, 'null') = p_old -> 'entries';
    when 'step_cache' then
        -- with another key it is looked for under another hash: nobody would find it
        delete from step_cache t
        where t.shard = p_shard and t.tenant_id = p_at[1] and t.key = p_at[2] and coalesce(t.value::jsonb, 'null') = p_old -> 'value';
    when 'schedules' then
        update schedules t set payload = p_new -> 'payload'
        where t.name = p_at[1] and coalesce(t.payload, 'null') = p_old -> 'payload';
    end case;
    return found;
end $$;
