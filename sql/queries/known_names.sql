-- Every handler name that a worker has offered, and every registered workflow.
-- Locks: none.
-- Index: none; both tables are small.
-- Caller: store.submit.known_names
select r.name, 'handler' as kind from tributary.registry as r where r.offered_at is not null
union all
select w.name, 'workflow' from tributary.workflows as w
