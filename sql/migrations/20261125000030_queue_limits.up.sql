-- Limits of queues over all workers, samples of their depth, and concurrency groups.

alter table queues
    add column concurrency integer check (concurrency >= 1),
    add column rate        integer check (rate >= 1),
    add column rate_per    integer check (rate_per >= 1),
    add constraint queues_rate_has_a_span check ((rate is null) = (rate_per is null));

comment on column queues.concurrency is 'How many attempts of it may run at once over all workers; null for any number.';
comment on column queues.rate is 'How many attempts of it may start within rate_per seconds; null for any number.';

-- apart from queues, which every claim reads and no claim writes
create table queue_counters (
    filled_at    timestamptz not null,
    census_until timestamptz not null,
    tokens       float8      not null,
    queue        text collate "C" primary key
) with (fillfactor = 20);

comment on table queue_counters is 'One row per limited queue: locked by SKIP LOCKED in claims of that queue. census_until: until then claims look for attempts that began before the limit did.';

create table queue_slots (
    run_id  uuid     not null,
    seq     bigint   not null,
    ordinal integer  not null,
    shard   smallint not null,
    queue   text collate "C" not null,
    primary key (queue, shard, run_id, ordinal)
);

comment on table queue_slots is 'Attempts of queues with a limit of concurrency. A row counts while its step is running with this seq, and only then.';

create table queue_stats (
    sampled_at timestamptz not null,
    oldest_at  timestamptz,
    ready      bigint      not null,
    scheduled  bigint      not null,
    running    bigint      not null,
    waiting    bigint      not null,
    ready_rate float8,
    more       text[]      not null default '{}',
    queue      text collate "C" primary key
) with (fillfactor = 50);

comment on table queue_stats is 'Depth of queues at sampled_at, written by the leader. more names the columns that are lower bounds.';
comment on column queue_stats.oldest_at is 'When the oldest ready row became ready.';
comment on column queue_stats.ready_rate is 'Change of ready per second since the sample before; null while nobody knows.';

alter table workers add column patterns text[] not null default '{}';

comment on column workers.patterns is 'Of the names that it claims, as its operator gave them; empty for all that it has.';

create table groups (
    slots     integer not null check (slots >= 1),
    unsettled boolean not null default false,
    tenant_id text collate "C" not null,
    name      text collate "C" not null,
    primary key (tenant_id, name)
) with (fillfactor = 50);

create index groups_unsettled on groups (tenant_id, name) where unsettled;

comment on table groups is 'Concurrency groups in use. The row is the counter that is locked; slots is the limit as the newest member has it.';
comment on column groups.unsettled is 'A slot may be free while somebody waits: the next promotion looks.';

create table group_slots (
    run_id     uuid        not null,
    rank       bigint      not null,
    entered_at timestamptz not null,
    held_at    timestamptz,
    ordinal    integer     not null,
    shard      smallint    not null,
    ousted     boolean     not null default false,
    state      text        not null check (state in ('held', 'waiting', 'left')),
    tenant_id  text collate "C" not null,
    name       text collate "C" not null,
    primary key (shard, run_id, ordinal),
    constraint group_slots_held_since check (state <> 'held' or held_at is not null)
) with (fillfactor = 50);

create index group_slots_by_group on group_slots (tenant_id, name, state, rank);
-- empty but for what the next promotion has to do
create index group_slots_news on group_slots (shard) where state = 'left' or ousted;

comment on table group_slots is 'Who holds a slot of a concurrency group and who waits for one: a step, or with ordinal -1 a whole run. left: ended, its slot is free. ousted: a newer member wants it cancelled.';
comment on column group_slots.rank is 'Order of entry within the group.';
