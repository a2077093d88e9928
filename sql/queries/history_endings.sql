-- How the steps have ended that a workflow function has asked for.
-- Locks: none.
-- Index: steps_pkey, attempts_pkey.
-- Caller: store.histories.read
select s.run_id::text, s.ordinal, s.state::text, s.finished_at, s.result, a.error, s.step_id
from tributary.steps as s
left join lateral (
    select t.error
    from tributary.attempts as t
    where s.state <> 'completed' and t.shard = s.shard and t.run_id = s.run_id and t.ordinal = s.ordinal and t.error is not null
    order by t.seq desc limit 1
) as a on true
where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.state >= 'completed' and tributary.is_asked(s.flags)
