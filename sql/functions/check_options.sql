-- Refuses options that could not be applied later: what is stored here is read again at every claim and retry.
create or replace function tributary.check_options(p_options jsonb) returns void
language plpgsql immutable
set search_path to tributary, pg_temp
as $$
declare
    v_options jsonb := nullif(jsonb_strip_nulls(p_options), '{}');
    v_retry jsonb := v_options -> 'retry';
    v_fault text;
begin
    if v_options is null then
        return;
    end if;
    if v_options ? 'queue' then
        perform check_name('a queue''s name', v_options ->> 'queue');
        if v_options ->> 'queue' ~ '^([~@]|tenant:)' then
            raise exception '% is no queue for work', quote_literal(v_options ->> 'queue')
                using errcode = 'TR001', hint = 'names that start with ~, @ or tenant: are internal';
        end if;
    end if;
    select o.key || ' must be ' || o.wanted || ', not ' || left(o.value::text, 60) into v_fault
    from (values
        ('priority', v_options -> 'priority', -32000, 32000, true, 'a whole number from -32000 to 32000'),
        ('max_attempts', v_options -> 'max_attempts', 1, 32000, true, 'a whole number from 1 to 32000'),
        ('timeout', v_options -> 'timeout', 0.001, 1e9, false, 'seconds, above 0'),
        ('retry.delay', v_retry -> 'delay', 0, 1e9, false, 'seconds'),
        ('retry.max_delay', v_retry -> 'max_delay', 0, 1e9, false, 'seconds'),
        ('retry.budget', v_retry -> 'budget', 0, 1e9, false, 'seconds'),
        ('retry.multiplier', v_retry -> 'multiplier', 1, 100, false, 'a number from 1 to 100'),
        ('retry.jitter', v_retry -> 'jitter', 0, 1, false, 'a number from 0 to 1')
    ) as o(key, value, low, high, whole, wanted)
    where o.value is not null
      and not case when jsonb_typeof(o.value) = 'number'
                   then o.value::numeric between o.low and o.high and (not o.whole or o.value::numeric = trunc(o.value::numeric))
                   else false end
    order by o.key limit 1;
    if jsonb_typeof(v_options -> 'cache') <> 'boolean' then
        v_fault := 'cache must be true or false, not ' || left((v_options -> 'cache')::text, 60);
    elsif v_retry is not null and jsonb_typeof(v_retry) <> 'object' then
        v_fault := 'retry must be a JSON object, not ' || left(v_retry::text, 60);
    elsif v_retry ? 'backoff' and v_retry ->> 'backoff' not in ('exponential', 'fixed', 'quadratic') then
        v_fault := 'retry.backoff must be exponential, fixed or quadratic, not ' || left(v_retry ->> 'backoff', 60);
    end if;
    if v_fault is not null then
        raise exception '%', v_fault using errcode = 'TR001', hint = 'docs/protocol.md lists the options';
    end if;
end $$;
