-- trib:no-transaction
-- Tenants: limits of theirs, the logins that act for them, and row-level security for whoever reads or writes tables by grants. Who owns
-- the schema is not held by it; workers have a policy of their own, see sql/roles.sql. Table by table, each in a transaction of its own: none
-- waits for one while it holds another.

create table if not exists tributary.tenants (
    tenant_id   text collate "C" primary key,
    concurrency integer check (concurrency >= 1),
    rate        integer check (rate >= 1),
    rate_per    integer check (rate_per >= 1),
    constraint tenants_rate_has_a_span check ((rate is null) = (rate_per is null)),
    constraint tenants_have_a_limit check (concurrency is not null or rate is not null)
);
--bun:split
comment on table tributary.tenants is 'Tenants with a limit over all workers; a tenant needs no row to exist.';
--bun:split
comment on column tributary.tenants.concurrency is 'How many attempts of it may run at once over all workers; null for any number.';
--bun:split
comment on column tributary.tenants.rate is 'How many attempts of it may start within rate_per seconds; null for any number.';
--bun:split
comment on column tributary.queue_counters.queue is 'Whose limit it is: a queue''s, or after tenant: a tenant''s.';
--bun:split
comment on column tributary.queue_slots.queue is 'Whose limit it counts for: a queue''s, or after tenant: a tenant''s.';
--bun:split
create table if not exists tributary.tenant_logins (
    login   text collate "C" primary key,
    tenants text[] not null check (cardinality(tenants) > 0)
);
--bun:split
comment on table tributary.tenant_logins is 'Logins (or roles that are set) that act for these tenants alone, whatever they set or say.';
--bun:split
-- The tenants that the session acts for; null for all. A login that is bound (tenant_logins) acts for its own, of which the setting
-- tributary.tenant may choose one; any other for that which the setting names, else for all. Policies lean on it, so everybody may call it.
create or replace function tributary.session_tenants() returns text[]
language plpgsql stable parallel safe security definer
set search_path to tributary, pg_temp
as $$
declare
    v_setting text := nullif(current_setting('tributary.tenant', true), '');
    v_bound text[];
begin
    -- who logged in counts first: a member of other roles does not get out of it by SET ROLE
    select l.tenants into v_bound from tributary.tenant_logins l where l.login = session_user;
    if not found and current_setting('role') <> 'none' then
        select l.tenants into v_bound from tributary.tenant_logins l where l.login = current_setting('role');
    end if;
    if v_bound is null or v_setting = any (v_bound) then
        return case when v_setting is not null then array[v_setting] end;
    elsif v_setting is not null then
        raise exception 'login % does not act for tenant %', quote_literal(session_user), quote_literal(v_setting)
            using errcode = '42501', hint = 'it acts for ' || array_to_string(v_bound, ', ') || '; reset tributary.tenant';
    end if;
    return v_bound;
end $$;
--bun:split
-- Whether rows of a run or an intent are seen where the session acts for tenants: for tables without a tenant of their own. With the
-- owner's rights, as whoever reads these may have no right to others.
create or replace function tributary.sees_row(p_run_id uuid, p_shard smallint) returns boolean
language sql stable parallel safe security definer
set search_path to tributary, pg_temp
as $$
    select coalesce((select r.tenant_id = any (tributary.session_tenants()) from tributary.runs r where r.shard = p_shard and r.run_id = p_run_id),
                    (select s.tenant_id = any (tributary.session_tenants()) from tributary.steps s
                     where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = 0), false)
$$;
--bun:split
-- The same for what became of the slots of a schedule.
create or replace function tributary.sees_schedule(p_name text) returns boolean
language sql stable parallel safe security definer
set search_path to tributary, pg_temp
as $$
    select coalesce((select s.tenant_id = any (tributary.session_tenants()) from tributary.schedules s where s.name = p_name), false)
$$;
--bun:split
-- trib:gives-way
-- Rows that carry their tenant.
drop policy if exists tenants on tributary.runs;
create policy tenants on tributary.runs using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.runs enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.steps;
create policy tenants on tributary.steps using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.steps enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.keys;
create policy tenants on tributary.keys using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.keys enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.unique_keys;
create policy tenants on tributary.unique_keys using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.unique_keys enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.attempts;
create policy tenants on tributary.attempts using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.attempts enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.event_log;
create policy tenants on tributary.event_log using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.event_log enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.dead_letters;
create policy tenants on tributary.dead_letters using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.dead_letters enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.log_chunks;
create policy tenants on tributary.log_chunks using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.log_chunks enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.signals;
create policy tenants on tributary.signals using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.signals enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.history;
create policy tenants on tributary.history using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.history enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.groups;
create policy tenants on tributary.groups using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.groups enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.group_slots;
create policy tenants on tributary.group_slots using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.group_slots enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.schedules;
create policy tenants on tributary.schedules using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.schedules enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.tenants;
create policy tenants on tributary.tenants using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
alter table tributary.tenants enable row level security;
--bun:split
-- trib:gives-way
-- Rows that belong to a row that does: seen with it, by its key. A column of their own would be written with each submit.
drop policy if exists tenants on tributary.payloads;
create policy tenants on tributary.payloads using ((select tributary.session_tenants()) is null or tributary.sees_row(run_id, shard));
alter table tributary.payloads enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.edges;
create policy tenants on tributary.edges using ((select tributary.session_tenants()) is null or tributary.sees_row(run_id, shard));
alter table tributary.edges enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.progress;
create policy tenants on tributary.progress using ((select tributary.session_tenants()) is null or tributary.sees_row(run_id, shard));
alter table tributary.progress enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.waits;
create policy tenants on tributary.waits using ((select tributary.session_tenants()) is null or tributary.sees_row(run_id, shard));
alter table tributary.waits enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.schedule_fires;
create policy tenants on tributary.schedule_fires using ((select tributary.session_tenants()) is null or tributary.sees_schedule(schedule));
alter table tributary.schedule_fires enable row level security;
--bun:split
-- trib:gives-way
-- Rows about everybody's work at once: not for one tenant.
drop policy if exists tenants on tributary.processes;
create policy tenants on tributary.processes using ((select tributary.session_tenants()) is null);
alter table tributary.processes enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.queue_slots;
create policy tenants on tributary.queue_slots using ((select tributary.session_tenants()) is null);
alter table tributary.queue_slots enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.submit_limits;
create policy tenants on tributary.submit_limits using ((select tributary.session_tenants()) is null);
alter table tributary.submit_limits enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.tenant_logins;
create policy tenants on tributary.tenant_logins using ((select tributary.session_tenants()) is null);
alter table tributary.tenant_logins enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.waiters;
create policy tenants on tributary.waiters using ((select tributary.session_tenants()) is null);
alter table tributary.waiters enable row level security;
--bun:split
-- trib:gives-way
drop policy if exists tenants on tributary.awaited;
create policy tenants on tributary.awaited using ((select tributary.session_tenants()) is null);
alter table tributary.awaited enable row level security;
--bun:split
-- trib:gives-way
-- How queues are paced is everybody's, how tenants are is not.
drop policy if exists tenants on tributary.queue_counters;
create policy tenants on tributary.queue_counters using (
    (select tributary.session_tenants()) is null or queue not like 'tenant:%'
    or substr(queue, 8) = any ((select tributary.session_tenants())::text[]));
alter table tributary.queue_counters enable row level security;
