-- trib:no-transaction
-- Ids that work carries for the world around it: a row beside it for what has any, and a mark on its steps. The column is nullable and without
-- a default: no table is rewritten, and work without such ids carries nothing for it.
create table if not exists tributary.correlations (
    run_id         uuid     not null,
    shard          smallint not null,
    tenant_id      text collate "C" not null default '',
    correlation_id text collate "C",
    business_id    text collate "C",
    traceparent    text collate "C",
    primary key (shard, run_id)
);
--bun:split
comment on table tributary.correlations is 'Ids given with a submit, of runs and intents that have any; a child run has those of its parent.';
--bun:split
create index if not exists correlations_by_id on tributary.correlations (correlation_id, run_id) where correlation_id is not null;
--bun:split
create index if not exists correlations_by_business on tributary.correlations (business_id, run_id) where business_id is not null;
--bun:split
create index if not exists correlations_by_trace on tributary.correlations (substr(traceparent, 4, 32), run_id) where traceparent is not null;
--bun:split
drop policy if exists tenants on tributary.correlations;
create policy tenants on tributary.correlations using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.correlations enable row level security;
--bun:split
-- trib:gives-way
alter table tributary.steps add column if not exists correlated boolean;
--bun:split
comment on column tributary.steps.correlated is 'Whether its run or intent has a row in correlations; null for no.';
--bun:split
-- What happens is read by time, over all work: rows of these two tables are only added and pruned, so a few bytes per range of pages will do.
drop index concurrently if exists tributary.event_log_by_time;
--bun:split
create index concurrently event_log_by_time on tributary.event_log using brin (at) with (pages_per_range = 32);
--bun:split
drop index concurrently if exists tributary.attempts_by_time;
--bun:split
create index concurrently attempts_by_time on tributary.attempts using brin (finished_at) with (pages_per_range = 32);
