-- Records one intent; a known key stores nothing and returns the row that holds it.
-- Locks: the key's row. Called by the Python client, submit_intent and the trigger of workflow_intent.
create or replace function tributary.submit_row(
    p_name text, p_payload jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_tenant text, p_private text, p_id uuid
) returns table (run_id uuid, created boolean, state text, queue text, known boolean)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_id uuid;
    v_shard smallint;
    v_now timestamptz := clock();
    v_handler jsonb;
    v_known boolean := false;
    v_options jsonb;
    v_queue text;
    v_state step_state;
    v_home boolean;
    v_correlated boolean;
begin
    if starts_with(p_name, 'trib.') or p_private is not null or p_config <> '{}' then
        perform check_submitter(p_name, p_config, p_private is not null);
    end if;
    perform check_name('an intent''s name', p_name);
    perform check_payload('the payload', p_payload);
    perform check_options(p_submit);
    v_id := coalesce(p_id, new_id(case when p_key is not null then slot_of_key(p_tenant, p_key) end));
    v_shard := shard_of(v_id);
    if p_key is not null and take_key(v_shard, p_tenant, p_key, v_id, p_name) is not null then
        return query
            select s.run_id, false, s.state::text, s.queue, s.reason is distinct from 'no_handler'
            from keys k join steps s on s.shard = k.shard and s.run_id = k.run_id and s.ordinal = 0
            where k.shard = v_shard and k.tenant_id = p_tenant and k.key = p_key;
        if not found and not exists (select from keys k where k.shard = v_shard and k.tenant_id = p_tenant and k.key = p_key) then
            -- who held the key was pruned in this very moment
            return query select * from submit_row(p_name, p_payload, p_key, p_submit, p_config, p_run_at, p_tenant, p_private, p_id);
        elsif not found then
            raise exception 'idempotency key % belongs to a run of workflow %', quote_literal(p_key), p_name
                using errcode = 'TR002', hint = 'submit it as a workflow, or use another key';
        end if;
        return;
    end if;

    select r.options, true into v_handler, v_known from registry r where r.name = p_name and r.offered_at is not null;
    v_known := coalesce(v_known, false);
    v_options := nullif(resolve_options(null, p_submit, v_handler, null, p_config), '{}');
    v_home := payload_at_home(p_payload, v_options, p_key, v_known);
    v_queue := private_queue(p_private, coalesce(v_options #>> '{queue,value}', 'default'));
    perform check_name('a queue''s name', v_queue);
    v_state := case when not v_known then 'waiting' when p_run_at > v_now then 'scheduled' else 'available' end;

    if p_submit ? 'correlation' or current_setting('tributary.correlation_id', true) <> '' or current_setting('tributary.traceparent', true) <> ''
       or current_setting('tributary.business_id', true) <> '' then
        v_correlated := keep_correlation(v_shard, v_id, p_tenant, p_submit -> 'correlation');
    end if;
    insert into steps (run_id, seq, created_at, run_at, ordinal, kind, state, shard, priority, max_attempts, tenant_id, name, queue, reason, payload, correlated)
    values (v_id, clock_us(), v_now, p_run_at, 0, 'intent', v_state, v_shard,
            coalesce((v_options #>> '{priority,value}')::smallint, 0),
            coalesce((v_options #>> '{max_attempts,value}')::smallint, builtin_attempts(p_name)),
            p_tenant, p_name, v_queue, case when not v_known then 'no_handler' end, case when v_home then p_payload end, v_correlated);
    if not v_home then
        insert into payloads (run_id, ordinal, shard, payload, options, idempotency_key)
        values (v_id, 0, v_shard, p_payload, v_options, p_key);
    end if;
    if v_state = 'available' then
        perform wake(array[v_queue]);
    end if;
    return query select v_id, true, v_state::text, v_queue, v_known;
end $$;
