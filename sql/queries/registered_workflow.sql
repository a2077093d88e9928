-- The revision that a workflow's name stands for, with its plan.
-- Locks: none.
-- Index: workflows_pkey, revisions_pkey.
-- Caller: store.submit.registered
select w.revision_id, r.hash, r.plan
from tributary.workflows as w
join tributary.revisions as r on r.revision_id = w.revision_id
where w.name = %(name)s
