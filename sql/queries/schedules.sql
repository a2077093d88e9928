-- Schedules by name, or one of them.
-- Locks: none.
-- Index: none; schedules is small.
-- Caller: store.schedules.schedules
select s.name, s.kind, s.target, s.cron, s.timezone, s.overlap, s.catchup, s.jitter, s.state, s.error, s.workflow, s.payload, s.options,
       s.labels, s.tenant_id, s.since, s.next_slot, s.next_at, s.last_slot, s.last_run_id, s.fired, s.missed, s.queued, s.created_at,
       s.updated_at, tributary.clock()
from tributary.schedules as s
where (%(name)s::text is null or s.name = %(name)s::text) and (%(tenant)s::text is null or s.tenant_id = %(tenant)s::text)
order by s.name
