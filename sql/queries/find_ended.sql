-- Which of many runs and intents have ended, or are not there.
-- Locks: none.
-- Index: as in the function.
-- Caller: store.ends.ended
select e::text from tributary.find_ended(%(ids)s::uuid[]) as e
