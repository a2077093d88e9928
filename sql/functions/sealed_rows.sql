-- A window of rows that may hold sealed values, in the order of their keys, behind p_after (null: from the first). at is the key of a row; value is
-- what of it may be sealed, where p_pattern finds something in it, else null. busy: not to be written now, since a process is at it.
-- For `trib keys rotate`; every row is visited, whatever it holds. Locks: none. Index: the primary key of each table.
create or replace function tributary.sealed_rows(p_shard smallint, p_source text, p_after text[], p_limit integer, p_pattern text)
returns table (at text[], value text, busy boolean)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
begin
    case p_source
    when 'steps' then
        return query
            select array[t.run_id::text, t.ordinal::text], case when v.text ~ p_pattern then v.text end, t.state = 'running'
            from steps t cross join lateral (select jsonb_build_object('payload', t.payload, 'result', t.result)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal limit p_limit;
    when 'payloads' then
        return query
            select array[t.run_id::text, t.ordinal::text], case when v.text ~ p_pattern then v.text end, false
            from payloads t cross join lateral (select jsonb_build_object('payload', t.payload)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal limit p_limit;
    when 'runs' then
        return query
            select array[t.run_id::text], case when v.text ~ p_pattern then v.text end, false
            from runs t cross join lateral (select jsonb_build_object('result', t.result, 'error', t.error)::text as text offset 0) as v
            where t.shard = p_shard and t.run_id > coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000')
            order by t.shard, t.run_id limit p_limit;
    when 'attempts' then
        return query
            select array[t.run_id::text, t.ordinal::text, t.seq::text], case when v.text ~ p_pattern then v.text end, false
            from attempts t cross join lateral (select jsonb_build_object('error', t.error)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal, t.seq) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648), coalesce(p_after[3]::bigint, -9223372036854775808))
            order by t.shard, t.run_id, t.ordinal, t.seq limit p_limit;
    when 'dead_letters' then
        return query
            select array[t.run_id::text, t.ordinal::text], case when v.text ~ p_pattern then v.text end, false
            from dead_letters t cross join lateral (select jsonb_build_object('error', t.error)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal limit p_limit;
    when 'progress' then
        return query
            select array[t.run_id::text, t.ordinal::text], case when v.text ~ p_pattern then v.text end, false
            from progress t cross join lateral (select jsonb_build_object('details', t.details)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal limit p_limit;
    when 'history' then
        return query
            select array[t.run_id::text, t.number::text], case when v.text ~ p_pattern then v.text end, false
            from history t cross join lateral (select jsonb_build_object('events', t.events)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.number) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.number limit p_limit;
    when 'event_log' then
        return query
            select array[t.event_id::text], case when v.text ~ p_pattern then v.text end, false
            from event_log t cross join lateral (select jsonb_build_object('data', t.data)::text as text offset 0) as v
            where t.shard = p_shard and t.event_id > coalesce(p_after[1]::bigint, -9223372036854775808)
            order by t.shard, t.event_id limit p_limit;
    when 'signals' then
        return query
            select array[t.run_id::text, t.number::text], case when v.text ~ p_pattern then v.text end, false
            from signals t cross join lateral (select jsonb_build_object('payload', t.payload)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.number) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.number limit p_limit;
    when 'waits' then
        return query
            select array[t.run_id::text, t.ordinal::text], case when v.text ~ p_pattern then v.text end, false
            from waits t cross join lateral (select jsonb_build_object('payload', t.payload, 'prompt', t.prompt)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal limit p_limit;
    when 'log_chunks' then
        return query
            select array[t.run_id::text, t.ordinal::text, t.seq::text, t.part::text], case when v.text ~ p_pattern then v.text end, false
            from log_chunks t cross join lateral (select jsonb_build_object('entries', t.entries::jsonb)::text as text offset 0) as v
            where t.shard = p_shard and (t.run_id, t.ordinal, t.seq, t.part) > (coalesce(p_after[1]::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(p_after[2]::integer, -2147483648), coalesce(p_after[3]::bigint, -9223372036854775808), coalesce(p_after[4]::integer, -2147483648))
            order by t.shard, t.run_id, t.ordinal, t.seq, t.part limit p_limit;
    when 'step_cache' then
        return query
            select array[t.tenant_id, t.key], case when v.text ~ p_pattern then v.text end, false
            from step_cache t cross join lateral (select jsonb_build_object('value', t.value::jsonb)::text as text offset 0) as v
            where t.shard = p_shard and (t.tenant_id, t.key) > (coalesce(p_after[1], ''), coalesce(p_after[2], ''))
            order by t.shard, t.tenant_id, t.key limit p_limit;
    when 'schedules' then
        -- there are few, and they belong to no shard
        return query
            select array[t.name], case when v.text ~ p_pattern then v.text end, false
            from schedules t cross join lateral (select jsonb_build_object('payload', t.payload)::text as text offset 0) as v
            where p_shard = 0 and t.name > coalesce(p_after[1], '')
            order by t.name limit p_limit;
    end case;
end $$;
