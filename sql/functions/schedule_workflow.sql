-- Public. Starts a registered workflow by itself whenever its cron expression says; otherwise as schedule_intent.
create or replace function tributary.schedule_workflow(
    name text, cron text, workflow text, inputs jsonb default '{}', timezone text default 'UTC', overlap text default 'skip',
    catchup interval default '0', jitter interval default '0', queue text default null, priority integer default null,
    labels jsonb default '{}', paused boolean default false, tenant text default ''
) returns text
language sql volatile
as $$
    select tributary.keep_schedule(
        name, tributary.tenant_to_submit(tenant), 'run', workflow, cron, timezone, coalesce(inputs, '{}'),
        jsonb_strip_nulls(jsonb_build_object('queue', queue, 'priority', priority)),
        coalesce(labels, '{}'), overlap, extract(epoch from catchup)::float8, extract(epoch from jitter)::float8, paused, null)
$$;
