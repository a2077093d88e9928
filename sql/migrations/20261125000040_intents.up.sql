-- trib:no-transaction
-- Unique keys, work that expires, and retention by workflow. Columns are nullable and without a default: no table is rewritten, and work
-- that uses none of this carries nothing for it. The indexes are built beside the work that goes on, so a failure may leave one unfinished.
create table if not exists tributary.unique_keys (
    run_id    uuid        not null,
    taken_at  timestamptz not null,
    first_at  timestamptz not null,
    until     timestamptz,
    shard     smallint    not null,
    tenant_id text collate "C" not null,
    name      text collate "C" not null,
    key       text collate "C" not null,
    primary key (shard, tenant_id, name, key)
) with (fillfactor = 50);
--bun:split
comment on table tributary.unique_keys is 'Who holds a unique key of a name. Nothing is written when that work ends: the next submit looks whether it has, and a sweep forgets the row.';
--bun:split
comment on column tributary.unique_keys.first_at is 'Since when submits were folded into work that waited: a debounce counts its max_wait from here.';
--bun:split
comment on column tributary.unique_keys.until is 'End of the longest period asked for; null for as long as the work is unfinished.';
--bun:split
alter table tributary.steps add column if not exists expires_at timestamptz;
--bun:split
comment on column tributary.steps.expires_at is 'Not started from this time on, cancelled instead; null for never. Counts until the first attempt.';
--bun:split
drop index concurrently if exists tributary.steps_expiring;
--bun:split
create index concurrently steps_expiring on tributary.steps (shard, expires_at)
    where expires_at is not null and attempt = 0 and state in ('blocked', 'scheduled', 'available', 'waiting');
--bun:split
create table if not exists tributary.workflow_keeps (
    name text    primary key,
    days integer check (days > 0),
    runs integer check (runs >= 0)
);
--bun:split
comment on table tributary.workflow_keeps is 'keep of the newest revision of each workflow that has one.';
--bun:split
alter table tributary.runs add column if not exists keep_name text collate "C";
--bun:split
comment on column tributary.runs.keep_name is 'The name under which this run is kept, for a workflow with keep; a child run has that of its root.';
--bun:split
drop index concurrently if exists tributary.runs_kept;
--bun:split
-- neither column ever changes: counters stay HOT
create index concurrently runs_kept on tributary.runs (shard, keep_name, run_id) where keep_name is not null;
