-- trib:no-transaction
-- What the release before knows: tenants are a name. Whoever is bound to one would see all, so nobody may be bound any more.
do $$ begin
    if exists (select from tributary.tenant_logins) then
        raise exception 'logins are bound to tenants, and would see the work of all without this migration'
            using hint = 'revoke their roles, then unbind them: trib tenant unbind LOGIN';
    end if;
end $$;
--bun:split
-- The release before does not know the role for applications, and would leave it all that it has.
do $$ declare
    v_app text := (select m.value::jsonb ->> 'app' from tributary.meta m where m.key = 'roles');
begin
    if exists (select from pg_roles r where r.rolname = v_app) then
        execute format('revoke all on all tables in schema tributary from %I', v_app);
        execute format('revoke all on all routines in schema tributary from %I', v_app);
        execute format('revoke all on schema tributary from %I', v_app);
    end if;
end $$;
--bun:split
-- trib:gives-way
alter table tributary.runs disable row level security;
drop policy if exists tenants on tributary.runs;
drop policy if exists workers on tributary.runs;
--bun:split
-- trib:gives-way
alter table tributary.steps disable row level security;
drop policy if exists tenants on tributary.steps;
drop policy if exists workers on tributary.steps;
--bun:split
-- trib:gives-way
alter table tributary.keys disable row level security;
drop policy if exists tenants on tributary.keys;
drop policy if exists workers on tributary.keys;
--bun:split
-- trib:gives-way
alter table tributary.unique_keys disable row level security;
drop policy if exists tenants on tributary.unique_keys;
drop policy if exists workers on tributary.unique_keys;
--bun:split
-- trib:gives-way
alter table tributary.attempts disable row level security;
drop policy if exists tenants on tributary.attempts;
drop policy if exists workers on tributary.attempts;
--bun:split
-- trib:gives-way
alter table tributary.event_log disable row level security;
drop policy if exists tenants on tributary.event_log;
drop policy if exists workers on tributary.event_log;
--bun:split
-- trib:gives-way
alter table tributary.dead_letters disable row level security;
drop policy if exists tenants on tributary.dead_letters;
drop policy if exists workers on tributary.dead_letters;
--bun:split
-- trib:gives-way
alter table tributary.log_chunks disable row level security;
drop policy if exists tenants on tributary.log_chunks;
drop policy if exists workers on tributary.log_chunks;
--bun:split
-- trib:gives-way
alter table tributary.signals disable row level security;
drop policy if exists tenants on tributary.signals;
drop policy if exists workers on tributary.signals;
--bun:split
-- trib:gives-way
alter table tributary.history disable row level security;
drop policy if exists tenants on tributary.history;
drop policy if exists workers on tributary.history;
--bun:split
-- trib:gives-way
alter table tributary.groups disable row level security;
drop policy if exists tenants on tributary.groups;
drop policy if exists workers on tributary.groups;
--bun:split
-- trib:gives-way
alter table tributary.group_slots disable row level security;
drop policy if exists tenants on tributary.group_slots;
drop policy if exists workers on tributary.group_slots;
--bun:split
-- trib:gives-way
alter table tributary.schedules disable row level security;
drop policy if exists tenants on tributary.schedules;
drop policy if exists workers on tributary.schedules;
--bun:split
-- trib:gives-way
alter table tributary.payloads disable row level security;
drop policy if exists tenants on tributary.payloads;
drop policy if exists workers on tributary.payloads;
--bun:split
-- trib:gives-way
alter table tributary.edges disable row level security;
drop policy if exists tenants on tributary.edges;
drop policy if exists workers on tributary.edges;
--bun:split
-- trib:gives-way
alter table tributary.progress disable row level security;
drop policy if exists tenants on tributary.progress;
drop policy if exists workers on tributary.progress;
--bun:split
-- trib:gives-way
alter table tributary.waits disable row level security;
drop policy if exists tenants on tributary.waits;
drop policy if exists workers on tributary.waits;
--bun:split
-- trib:gives-way
alter table tributary.schedule_fires disable row level security;
drop policy if exists tenants on tributary.schedule_fires;
drop policy if exists workers on tributary.schedule_fires;
--bun:split
-- trib:gives-way
alter table tributary.processes disable row level security;
drop policy if exists tenants on tributary.processes;
drop policy if exists workers on tributary.processes;
--bun:split
-- trib:gives-way
alter table tributary.queue_slots disable row level security;
drop policy if exists tenants on tributary.queue_slots;
drop policy if exists workers on tributary.queue_slots;
--bun:split
-- trib:gives-way
alter table tributary.submit_limits disable row level security;
drop policy if exists tenants on tributary.submit_limits;
drop policy if exists workers on tributary.submit_limits;
--bun:split
-- trib:gives-way
alter table tributary.waiters disable row level security;
drop policy if exists tenants on tributary.waiters;
drop policy if exists workers on tributary.waiters;
--bun:split
-- trib:gives-way
alter table tributary.awaited disable row level security;
drop policy if exists tenants on tributary.awaited;
drop policy if exists workers on tributary.awaited;
--bun:split
alter table tributary.queue_counters disable row level security;
drop policy if exists tenants on tributary.queue_counters;
drop policy if exists workers on tributary.queue_counters;
drop table if exists tributary.tenants;
drop table if exists tributary.tenant_logins;
drop function if exists tributary.sees_row(uuid, smallint);
drop function if exists tributary.sees_schedule(text);
drop function if exists tributary.session_tenants();
delete from tributary.queue_counters where queue like 'tenant:%';
delete from tributary.queue_slots where queue like 'tenant:%';
comment on column tributary.queue_counters.queue is null;
comment on column tributary.queue_slots.queue is null;
