-- Handler names with what their workers registered.
-- Locks: none.
-- Index: none; registry is small.
-- Caller: store.fleet.handlers
select r.name, r.runtime, r.is_enabled, r.description, r.options, r.input_schema, r.output_schema, r.offered_at, r.updated_at
from tributary.registry as r
order by r.name
