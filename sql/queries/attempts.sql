-- Attempts of one step (ordinal 0: of an intent) that did not end well, oldest first.
-- Locks: none.
-- Index: attempts_pkey.
-- Caller: store.intents.attempts
select a.attempt, a.outcome, a.error, coalesce(a.started_at, a.claimed_at) as started_at, a.finished_at, a.worker
from tributary.attempts as a
where a.shard = tributary.shard_of(%(id)s::uuid) and a.run_id = %(id)s::uuid and a.ordinal = %(ordinal)s::integer
order by a.seq
