-- Public. Records an intent, or a run of the workflow that is registered under the name, in the caller's transaction, and tells what became
-- of it. options: idempotency_key, queue, priority, run_after, max_attempts, timeout, retry, labels, tenant; unique {key | by: payload,
-- period, on_conflict: keep | replace | debounce, max_wait}; expires_at or expires_in; correlation_id, business_id, traceparent. Durations are seconds.
create or replace function tributary.submit(name text, payload jsonb default '{}', options jsonb default '{}')
returns table (id uuid, kind text, state text, created boolean)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_known constant text[] := array['idempotency_key', 'queue', 'priority', 'run_after', 'max_attempts', 'timeout', 'retry', 'labels',
                                     'tenant', 'unique', 'expires_at', 'expires_in', 'correlation_id', 'business_id', 'traceparent'];
    v_given jsonb := jsonb_strip_nulls(coalesce(options, '{}'));
    v_wrong text;
    v_submit jsonb;
    v_run_at timestamptz;
    v_revision uuid;
begin
    if jsonb_typeof(v_given) <> 'object' then
        raise exception 'options must be a JSON object, not %', jsonb_typeof(v_given) using errcode = 'TR001', hint = 'such as {"priority": 5}';
    end if;
    select string_agg(quote_literal(k), ', ') into v_wrong from jsonb_object_keys(v_given) as k where k <> all (v_known);
    if v_wrong is not null then
        raise exception 'unknown option %', v_wrong using errcode = 'TR001', hint = 'known: ' || array_to_string(v_known, ', ');
    end if;
    v_submit := (select coalesce(jsonb_object_agg(o.key, o.value), '{}') from jsonb_each(v_given) as o
                 where o.key in ('queue', 'priority', 'max_attempts', 'timeout', 'retry'));
    if v_given ?| array['correlation_id', 'business_id', 'traceparent'] then
        v_submit := v_submit || jsonb_build_object('correlation', (
            select jsonb_object_agg(o.key, o.value) from jsonb_each(v_given) as o where o.key in ('correlation_id', 'business_id', 'traceparent')));
    end if;
    if v_given ? 'run_after' then
        v_run_at := moment('run_after', v_given -> 'run_after');
    end if;
    select w.revision_id into v_revision from workflows w where w.name = submit.name;
    if v_revision is not null then
        return query
            select r.run_id, 'run', r.state, r.created
            from submit_run_with(v_given, v_revision, name, check_inputs(v_revision, coalesce(payload, '{}')), v_given ->> 'idempotency_key',
                                 v_submit, null, v_run_at, coalesce(v_given -> 'labels', '{}'), coalesce(v_given ->> 'tenant', ''),
                                 null, null, null) as r;
        return;
    elsif v_given ? 'labels' then
        raise exception 'intents have no labels' using errcode = 'TR001', hint = 'put what you filter by into the name or the payload';
    end if;
    return query
        select r.run_id, 'intent', r.state, r.created
        from submit_row_with(v_given, name, coalesce(payload, '{}'), v_given ->> 'idempotency_key', v_submit, null, v_run_at,
                             coalesce(v_given ->> 'tenant', ''), null) as r;
end $$;
