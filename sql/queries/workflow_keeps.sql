-- How long finished runs of each workflow are kept that says so, and the oldest of the newest that it keeps.
-- Locks: none.
-- Index: the table is small; runs_kept backwards for each.
-- Caller: store.keeping.keeps
select k.name, k.days, tributary.kept_from(k.name, k.runs)::text
from tributary.workflow_keeps as k
order by k.name
