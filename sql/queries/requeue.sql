-- Puts dead letters of one run, or that of an intent, back to work.
-- Locks: the run, then its steps.
-- Index: dead_letters_pkey.
-- Caller: store.control.requeue
select case when cardinality(%(steps)s::text[]) > 1 then tributary.requeue_steps(%(id)s::uuid, %(steps)s::text[])
            else tributary.requeue(%(id)s::uuid, (%(steps)s::text[])[1]) end
