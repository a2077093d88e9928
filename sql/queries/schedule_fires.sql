-- What became of the newest slots of a schedule, newest first, with the state of their work.
-- Locks: none.
-- Index: schedule_fires_pkey, keys of runs and steps.
-- Caller: store.schedules.fires
select f.slot, f.at, f.cause, f.outcome, f.run_id, f.missed, f.until,
       coalesce(tributary.run_state_now(r.shard, r.run_id, r.state, r.run_at), s.state::text)
from tributary.schedule_fires as f
left join tributary.runs as r on r.shard = tributary.shard_of(f.run_id) and r.run_id = f.run_id
left join tributary.steps as s on r.run_id is null and s.shard = tributary.shard_of(f.run_id) and s.run_id = f.run_id and s.ordinal = 0
where f.schedule = %(name)s
order by f.slot desc, f.missed desc
limit %(limit)s
