-- trib:no-transaction
drop index concurrently if exists tributary.steps_parked;
