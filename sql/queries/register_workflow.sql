-- Keeps a revision and gives the workflow's name to it.
-- Locks: the workflow's row.
-- Index: revisions_pkey, workflows_pkey.
-- Caller: store.submit.register
select tributary.register_workflow(
    %(name)s, tributary.save_revision(%(name)s, %(hash)s, %(source)s, %(plan)s::jsonb), %(description)s)
