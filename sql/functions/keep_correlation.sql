-- Keeps the ids that a submit carries: those it names ({correlation_id, business_id, traceparent}), else those of the session
-- (tributary.correlation_id, tributary.business_id, tributary.traceparent). Returns true where there are any, else null: a mark for its steps.
-- Locks: none. Raises TR001.
create or replace function tributary.keep_correlation(p_shard smallint, p_run_id uuid, p_tenant text, p_given jsonb) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_id text := nullif(coalesce(p_given ->> 'correlation_id', current_setting('tributary.correlation_id', true)), '');
    v_business text := nullif(coalesce(p_given ->> 'business_id', current_setting('tributary.business_id', true)), '');
    v_trace text := nullif(coalesce(p_given ->> 'traceparent', current_setting('tributary.traceparent', true)), '');
begin
    if length(v_id) > 200 or v_id ~ '[[:cntrl:]]' or length(v_business) > 200 or v_business ~ '[[:cntrl:]]' then
        raise exception 'a correlation id and a business id are texts of at most 200 characters, without control characters'
            using errcode = 'TR001', hint = 'keep what is longer in the payload';
    elsif v_trace !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' or v_trace ~ '^ff|^..-0{32}|-0{16}-..$' then
        raise exception '% is no traceparent', quote_literal(left(v_trace, 80))
            using errcode = 'TR001', hint = 'W3C Trace Context: 00-<32 hexadecimal digits>-<16>-01';
    elsif v_id is null and v_business is null and v_trace is null then
        return null;
    end if;
    insert into correlations (run_id, shard, tenant_id, correlation_id, business_id, traceparent)
    values (p_run_id, p_shard, p_tenant, v_id, v_business, v_trace);
    return true;
end $$;
