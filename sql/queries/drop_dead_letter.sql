-- Forgets a dead letter; the work itself stays as it is.
-- Locks: the dead letter.
-- Index: dead_letters_pkey.
-- Caller: store.dead_letters.drop
select tributary.drop_dead_letter(%(id)s::uuid, %(ordinal)s::integer)
