-- Puts a dead letter back to work.
-- Locks: the run, then its steps.
-- Index: dead_letters_pkey.
-- Caller: store.control.requeue
select tributary.requeue(%(id)s::uuid, %(step)s)
