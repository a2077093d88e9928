-- Public. Ends one claimed intent: outcome completed (with result), retry or discarded (with error), snoozed (with delay), released.
-- False: the token no longer stands, somebody else has the intent (LeaseLost). A null delay takes the intent's own policy.
create or replace function tributary.finish(
    process bigint, run_id uuid, token bigint, outcome text default 'completed', result jsonb default null,
    error text default null, delay interval default null
) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_stands boolean;
begin
    if outcome not in ('completed', 'retry', 'discarded', 'snoozed', 'released') then
        raise exception 'unknown outcome %', quote_literal(outcome)
            using errcode = 'TR001', hint = 'use completed, retry, discarded, snoozed or released';
    end if;
    perform check_payload('the result', result);
    perform from finish_steps(
        shard_of(run_id), process, array[run_id], array[0], array[token], array[outcome],
        array[coalesce(result, 'null')::text],
        array[case when outcome in ('retry', 'discarded')
                   then jsonb_build_object('type', 'Failed', 'message', left(coalesce(error, 'failed'), 8192))::text end],
        array[coalesce(extract(epoch from delay)::float8, case when outcome = 'snoozed' then 60 end)], array[0::float8],
        false, '{}', '{}', 0);
    v_stands := not found;
    perform wake_freed((select limit_keys(s.queue, s.tenant_id) from steps s
                        where s.shard = shard_of(run_id) and s.run_id = finish.run_id and s.ordinal = 0));
    return v_stands;
end $$;
