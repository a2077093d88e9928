-- trib:no-transaction
-- Workflow functions whose code does not fit their history: few rows are ever in it. Built beside the work that goes on, so a failure may
-- leave it unfinished.
drop index concurrently if exists tributary.steps_parked;
--bun:split
create index concurrently steps_parked on tributary.steps (shard, name) where reason = 'nondeterminism';
