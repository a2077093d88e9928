-- Keeps a revision; nothing happens to one that is kept already.
-- Locks: none.
-- Index: revisions_pkey.
-- Caller: store.submit.keep
select tributary.save_revision(%(name)s, %(hash)s, %(source)s, %(plan)s::jsonb)
