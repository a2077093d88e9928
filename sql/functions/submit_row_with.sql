-- submit_row with terms that few submits have: {unique: {key, by, period, on_conflict, max_wait}, expires_at, expires_in, id, holder}. Who holds the
-- unique key is returned; with replace and debounce a holder that waits gets this payload, these options and this time, and one that
-- runs is left alone and gives the key to a new intent. All times are told in seconds.
-- id: for which the payload is sealed (place_to_seal); holder: the one whose payload it is to replace, and for which it is sealed then.
-- Where it is sealed for another one nothing is stored, and created is null: run_id tells for which, null to begin anew.
-- Locks: the key's row, then the intent that holds it.
create or replace function tributary.submit_row_with(
    p_terms jsonb, p_name text, p_payload jsonb, p_key text, p_submit jsonb, p_config jsonb, p_run_at timestamptz, p_tenant text, p_private text
) returns table (run_id uuid, created boolean, state text, queue text, known boolean)
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
    v_key text := unique_key(v_unique, p_payload);
    v_expires timestamptz;
    v_run_at timestamptz := p_run_at;
    v_id uuid;
    v_shard smallint;
    v_holder uuid;
    v_kind text;
    v_since timestamptz;
    v_made record;
    v_own uuid := (p_terms ->> 'id')::uuid;
    v_sealed_for uuid := (p_terms ->> 'holder')::uuid;
begin
    if only_submits() then
        perform spend_submits(1);
    end if;
    p_tenant := tenant_to_submit(p_tenant);
    -- here too: a payload that replaces another one passes by submit_row
    if starts_with(p_name, 'trib.') or p_private is not null or p_config <> '{}' then
        perform check_submitter(p_name, p_config, p_private is not null);
    end if;
    perform check_terms(p_terms, p_key, p_run_at is not null);
    -- only now: text in the place of seconds has its own words
    v_period := make_interval(secs => (v_unique ->> 'period')::float8);
    v_expires := expiry(p_terms, p_run_at);
    if v_own is not null then
        perform check_own_id(v_own, p_tenant, case when v_unique is not null then p_name || E'\x1f' || v_key else p_key end);
        v_id := v_own;
    end if;
    if v_unique is not null then
        perform check_name('an intent''s name', p_name);
        perform check_payload('the payload', p_payload);
        perform check_options(p_submit);
        v_id := coalesce(v_own, new_id(slot_of_key(p_tenant, p_name || E'\x1f' || v_key)));
        v_shard := shard_of(v_id);
        select t.run_id, t.kind, t.first_at into v_holder, v_kind, v_since
        from take_unique(v_shard, p_tenant, p_name, v_key, v_period, v_id) as t;
    end if;
    if v_sealed_for is not null and v_holder is distinct from v_sealed_for then
        raise exception 'what was to be replaced has just ended' using errcode = 'TR004', hint = 'submit it again';
    elsif v_holder is not null then
        if v_kind = 'run' then
            raise exception 'unique key % belongs to a run of workflow %', quote_literal(v_key), p_name
                using errcode = 'TR002', hint = 'submit it as a workflow, or use another key', detail = v_holder::text;
        end if;
        if v_mode <> 'keep' and v_own is not null and v_sealed_for is null then
            if exists (select from steps s where s.shard = v_shard and s.run_id = v_holder and s.ordinal = 0
                                             and s.state in ('scheduled', 'available', 'waiting')) then
                return query select v_holder, null::boolean, null::text, null::text, null::boolean;
                return;
            end if;
        elsif v_mode <> 'keep' then
            if v_mode = 'debounce' then
                v_run_at := least(p_run_at, v_since + make_interval(secs => (v_unique ->> 'max_wait')::float8));
            end if;
            return query
                select * from replace_intent(v_shard, v_holder, p_payload, p_submit, p_config, v_run_at, v_expires, p_private, v_mode);
            if found then
                return;
            end if;
        end if;
        if v_mode <> 'keep' and v_period is null and v_sealed_for is not null then
            return query select null::uuid, null::boolean, null::text, null::text, null::boolean;
            return;
        end if;
        if v_mode = 'keep' or v_period is not null then
            return query
                select s.run_id, false, s.state::text, s.queue, s.reason is distinct from 'no_handler'
                from steps s where s.shard = v_shard and s.run_id = v_holder and s.ordinal = 0;
            return;
        end if;
        -- it runs with what it was given: this goes into another one
        perform pass_unique(v_shard, p_tenant, p_name, v_key, v_period, v_id, clock());
    end if;
    select * into v_made from submit_row(p_name, p_payload, p_key, p_submit, p_config, p_run_at, p_tenant, p_private, v_id);
    if v_expires is not null and v_made.created then
        update steps s set expires_at = v_expires where s.shard = shard_of(v_made.run_id) and s.run_id = v_made.run_id and s.ordinal = 0;
    end if;
    return query select v_made.run_id, v_made.created, v_made.state, v_made.queue, v_made.known;
end $$;
