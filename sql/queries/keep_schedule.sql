-- Adds a schedule, or changes the one of that name.
-- Locks: the schedule's row.
-- Index: schedules_pkey.
-- Caller: store.schedules.keep
select tributary.keep_schedule(
    %(name)s, %(tenant)s, %(kind)s, %(target)s, %(cron)s, %(timezone)s, %(payload)s::jsonb, %(options)s::jsonb, %(labels)s::jsonb,
    %(overlap)s, %(catchup)s::float8, %(jitter)s::float8, %(paused)s, null)
