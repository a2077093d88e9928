-- Refuses terms of a submit that make no sense: {unique: {key, by, period, on_conflict, max_wait}, expires_at, expires_in}; times in seconds.
-- p_delayed: the submit itself names a time.
create or replace function tributary.check_terms(p_terms jsonb, p_key text, p_delayed boolean) returns void
language plpgsql immutable
set search_path to tributary, pg_temp
as $$
declare
    v_unique jsonb := nullif(p_terms -> 'unique', 'null');
    v_mode text := coalesce(v_unique ->> 'on_conflict', 'keep');
    v_fault text;
    v_hint text := 'docs/intents.md tells what goes together';
begin
    select o.key || ' must be seconds above 0, not ' || left(o.value::text, 60) into v_fault
    from (values ('unique.period', v_unique -> 'period'), ('unique.max_wait', v_unique -> 'max_wait'), ('expires_in', p_terms -> 'expires_in')) as o(key, value)
    where o.value <> 'null'
      and not case when jsonb_typeof(o.value) = 'number' then o.value::numeric > 0 and o.value::numeric <= 1e9 else false end
    limit 1;
    if v_fault is null and v_unique is not null then
        v_fault := case
            when jsonb_typeof(v_unique) <> 'object' then 'unique must be a JSON object, not ' || left(v_unique::text, 60)
            when v_unique - array['key', 'by', 'period', 'on_conflict', 'max_wait'] <> '{}'
                then 'unknown key in unique: ' || left((v_unique - array['key', 'by', 'period', 'on_conflict', 'max_wait'])::text, 60)
            when (v_unique ->> 'key' is null) = (v_unique ->> 'by' is null) then 'unique needs a key, or by: payload'
            when v_unique ->> 'by' <> 'payload' then 'unique.by must be payload, not ' || left(v_unique ->> 'by', 60)
            when v_mode not in ('keep', 'replace', 'debounce') then 'unique.on_conflict must be keep, replace or debounce, not ' || left(v_mode, 60)
            when p_key is not null then 'a submit has an idempotency key or is unique, not both'
            when v_mode <> 'keep' and v_unique ->> 'by' is not null then v_mode || ' needs a key: with by: payload there is nothing to replace'
            when v_mode = 'debounce' and not p_delayed then 'debounce needs the time for which it waits'
            when v_mode <> 'debounce' and v_unique ->> 'max_wait' is not null then 'max_wait belongs to debounce'
        end;
        if v_fault like 'debounce%' then
            v_hint := 'give run_after (--in 30s)';
        end if;
    end if;
    if v_fault is null and p_terms ->> 'expires_at' is not null and p_terms ->> 'expires_in' is not null then
        v_fault := 'work expires at a time or in some seconds, not both';
    elsif v_fault is null and jsonb_typeof(p_terms -> 'expires_at') not in ('string', 'null') then
        v_fault := 'expires_at must be a time, not ' || left((p_terms -> 'expires_at')::text, 60);
    end if;
    if v_fault is not null then
        raise exception '%', v_fault using errcode = 'TR001', hint = v_hint;
    elsif v_unique ->> 'key' is not null then
        perform check_name('a unique key', v_unique ->> 'key');
    end if;
end $$;
