-- Handlers that steps can call, with what they take and return; whether a live worker has them now.
-- Locks: none.
-- Index: none; registry and workers are small.
-- Caller: store.fleet.known
select r.name, coalesce(r.input_schema, '{}'::jsonb), coalesce(r.output_schema, '{}'::jsonb),
       exists (select from tributary.workers as w
               where w.beat_at > tributary.clock() - interval '10 seconds' and r.name = any (w.names)) as served
from tributary.registry as r
where r.offered_at is not null and r.is_enabled and r.runtime = 'python'
order by r.name
