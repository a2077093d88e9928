-- Public. Starts an intent by itself whenever its cron expression says; returns created, changed or unchanged. The expression and the zone
-- are checked by the next leader: a bad one disables the schedule, which then tells the reason.
create or replace function tributary.schedule_intent(
    name text, cron text, intent text, payload jsonb default '{}', timezone text default 'UTC', overlap text default 'skip',
    catchup interval default '0', jitter interval default '0', queue text default null, priority integer default null,
    max_attempts integer default null, timeout double precision default null, retry jsonb default null, paused boolean default false,
    tenant text default ''
) returns text
language sql volatile
as $$
    select tributary.keep_schedule(
        name, tributary.tenant_to_submit(tenant), 'intent', intent, cron, timezone, coalesce(payload, '{}'),
        jsonb_strip_nulls(jsonb_build_object('queue', queue, 'priority', priority, 'max_attempts', max_attempts,
                                             'timeout', timeout, 'retry', retry)),
        '{}', overlap, extract(epoch from catchup)::float8, extract(epoch from jitter)::float8, paused, null)
$$;
