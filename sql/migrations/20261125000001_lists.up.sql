-- trib:no-transaction
-- Lists of what is rare in a long history: whatever has not just been claimed and completed. An intent that goes well is never in
-- the first index; a run is in the second until it completes. Built beside the work that goes on, so a failure may leave one unfinished.
drop index concurrently if exists tributary.steps_unusual;
--bun:split
create index concurrently steps_unusual on tributary.steps (shard, state, run_id)
    where kind = 'intent' and state not in ('available', 'running', 'completed');
--bun:split
drop index concurrently if exists tributary.runs_unusual;
--bun:split
-- counters leave the state alone and stay HOT: only a run's end is not
create index concurrently runs_unusual on tributary.runs (shard, state, run_id) where state <> 'completed';
