-- submit_run with the terms that submit_row_with has, and `group`: the name of the concurrency group where it holds an expression.
-- A run that waits is not rewritten: with replace and debounce one of which no step has started is cancelled, reason replaced, and a
-- new one holds the key; one that has started gives the key away and goes on.
-- id: that of the run, for which its inputs are sealed (place_to_seal).
-- Locks: the key's row, then the run that holds it and its steps.
create or replace function tributary.submit_run_with(
    p_terms jsonb, p_revision uuid, p_name text, p_inputs jsonb, p_key text, p_submit jsonb, p_config jsonb,
    p_run_at timestamptz, p_labels jsonb, p_tenant text, p_payloads jsonb, p_private text, p_runner bigint
) returns table (run_id uuid, created boolean, state text, unknown text[])
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_unique jsonb := nullif(p_terms -> 'unique', 'null');
    v_mode text := coalesce(v_unique ->> 'on_conflict', 'keep');
    v_period interval;
    v_key text := unique_key(v_unique, p_inputs);
    v_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    v_expires timestamptz;
    v_run_at timestamptz := p_run_at;
    v_first timestamptz;
    v_shard smallint;
    v_holder uuid;
    v_kind text;
    v_since timestamptz;
    v_made record;
begin
    if only_submits() then
        perform spend_submits(1);
    end if;
    p_tenant := tenant_to_submit(p_tenant);
    perform check_terms(p_terms, p_key, p_run_at is not null);
    -- only now: text in the place of seconds has its own words
    v_period := make_interval(secs => (v_unique ->> 'period')::float8);
    v_expires := expiry(p_terms, p_run_at);
    if p_terms ->> 'id' is not null then
        perform check_own_id((p_terms ->> 'id')::uuid, p_tenant, p_key);
    end if;
    if v_unique is not null then
        perform check_name('a workflow''s name', p_name);
        v_shard := slot_of_key(p_tenant, p_name || E'\x1f' || v_key) % shard_count();
        -- the id is known only when the run is recorded; nobody sees the row before
        select t.run_id, t.kind, t.first_at into v_holder, v_kind, v_since
        from take_unique(v_shard, p_tenant, p_name, v_key, v_period, v_nobody) as t;
        v_first := clock();
    end if;
    if v_holder is not null then
        if v_kind = 'intent' then
            raise exception 'unique key % belongs to an intent named %', quote_literal(v_key), p_name
                using errcode = 'TR002', hint = 'submit it as an intent, or use another key', detail = v_holder::text;
        elsif v_mode <> 'keep' and has_not_started(v_holder) then
            if v_mode = 'debounce' then
                v_first := v_since;
                v_run_at := least(p_run_at, v_first + make_interval(secs => (v_unique ->> 'max_wait')::float8));
            end if;
            perform cancel(v_holder, 'replaced');
        elsif v_mode = 'keep' or v_period is not null then
            return query
                select r.run_id, false, r.state::text, '{}'::text[]
                from runs r where r.shard = shard_of(v_holder) and r.run_id = v_holder;
            return;
        end if;
    end if;
    perform set_config('tributary.group', coalesce(p_terms ->> 'group', ''), true);
    perform set_config('tributary.own_id', coalesce(p_terms ->> 'id', ''), true);
    select * into v_made
    from record_run(p_revision, p_name, p_inputs, p_key, p_submit, p_config, v_run_at, p_labels, p_tenant, p_payloads, p_private, p_runner,
                    null, null, null);
    -- whatever else this transaction records has a group of its own
    perform set_config('tributary.group', '', true);
    perform set_config('tributary.own_id', '', true);
    if v_unique is not null then
        perform pass_unique(v_shard, p_tenant, p_name, v_key, v_period, v_made.run_id, v_first);
    end if;
    if v_expires is not null and v_made.created then
        -- what needs nothing starts the run; whatever follows comes too late to expire
        update steps s set expires_at = v_expires
        where s.shard = shard_of(v_made.run_id) and s.run_id = v_made.run_id and s.kind = 'step' and s.unmet = 0;
    end if;
    return query select v_made.run_id, v_made.created, v_made.state, v_made.unknown;
end $$;
