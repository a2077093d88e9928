-- Public. Records one intent in the caller's transaction and returns its id (the existing one when the key is known).
create or replace function tributary.submit_intent(
    name text, payload jsonb default '{}', idempotency_key text default null, queue text default null,
    priority integer default null, run_after timestamptz default null, max_attempts integer default null,
    timeout double precision default null, retry jsonb default null, tenant text default ''
) returns uuid
language sql volatile
security definer
set search_path to tributary, pg_temp
as $$
    select tributary.spend_submits(1) where tributary.only_submits();
    select r.run_id
    from tributary.submit_row(
        name, coalesce(payload, '{}'), idempotency_key,
        jsonb_strip_nulls(jsonb_build_object('queue', queue, 'priority', priority, 'max_attempts', max_attempts,
                                             'timeout', timeout, 'retry', retry)),
        null, run_after, tributary.tenant_to_submit(tenant), null, null) as r
$$;
