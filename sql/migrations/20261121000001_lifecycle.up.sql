-- The one lifecycle: runs, their steps, intents (steps of kind intent, ordinal 0, without a run row).
-- Every key starts with the shard; every row carries its tenant. docs/architecture.md explains the shape.
-- Identifiers in indexes compare by code point: the same on every machine, whatever becomes of its locales.

create type step_kind as enum ('step', 'intent', 'closing');
create type step_state as enum ('blocked', 'scheduled', 'available', 'running', 'waiting',
                                'completed', 'skipped', 'cancelled', 'discarded');
create type run_state as enum ('running', 'paused', 'completed', 'failed', 'cancelled');

create table runs (
    run_id          uuid        not null,
    root_id         uuid        not null,
    parent_run_id   uuid,
    revision_id     uuid        not null,
    created_at      timestamptz not null,
    run_at          timestamptz,
    finished_at     timestamptz,
    shard           smallint    not null,
    priority        smallint    not null default 0,
    parent_ordinal  integer,
    remaining       integer     not null,
    failed          integer     not null default 0,
    warnings        integer     not null default 0,
    next_ordinal    integer     not null,
    closing_ordinal integer,
    state           run_state   not null default 'running',
    phase           text        not null default 'steps',
    tenant_id       text        not null default '',
    name            text        not null,
    idempotency_key text,
    runner_id       bigint,
    reason          text,
    labels          jsonb       not null default '{}',
    result          jsonb,
    error           jsonb,
    primary key (shard, run_id),
    constraint runs_counters_hold check (remaining >= 0 and failed >= 0 and warnings >= 0),
    constraint runs_ended_have_a_time check ((state in ('completed', 'failed', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- on the runner alone: a predicate on the state would cost every counter its HOT update
create index runs_private on runs (shard, runner_id) where runner_id is not null;

comment on table runs is 'One row per run of a workflow. available, scheduled and waiting are derived when read.';

create table steps (
    run_id       uuid        not null,
    seq          bigint      not null,
    process_id   bigint,
    created_at   timestamptz not null,
    run_at       timestamptz,
    claimed_at   timestamptz,
    started_at   timestamptz,
    finished_at  timestamptz,
    ordinal      integer     not null,
    unmet        integer     not null default 0,
    kind         step_kind   not null,
    state        step_state  not null,
    shard        smallint    not null,
    priority     smallint    not null default 0,
    flags        smallint    not null default 0,
    attempt      smallint    not null default 0,
    attempt_base smallint    not null default 0,
    max_attempts smallint    not null default 3,
    crashes      smallint    not null default 0,
    tenant_id    text collate "C" not null default '',
    name         text collate "C" not null,
    queue        text collate "C" not null default 'default',
    step_id      text,
    item_key     text,
    reason       text,
    result       jsonb,
    primary key (shard, run_id, ordinal),
    constraint steps_running_are_owned check (state <> 'running' or (process_id is not null and claimed_at is not null)),
    constraint steps_owned_are_running check (state = 'running' or process_id is null),
    constraint steps_scheduled_have_a_time check (state <> 'scheduled' or run_at is not null),
    constraint steps_ended_have_a_time check ((state in ('completed', 'skipped', 'cancelled', 'discarded')) = (finished_at is not null)),
    constraint steps_counters_hold check (unmet >= 0 and attempt >= 0 and max_attempts >= 1 and crashes >= 0)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table steps is 'Steps of runs, and intents (kind intent, ordinal 0). Names are those of handlers, step_id is the id in the file.';
comment on column steps.seq is 'Renewed whenever the row becomes available; with the key it is the fence of an attempt.';
comment on column steps.unmet is 'Needs that have not ended yet.';
comment on column steps.flags is 'Bits: 1 optional (continue_on_error), 2 a need ended badly, 4 the condition has a status function, 8 with holds expressions, 16 run_after counts from the end of the needs.';
comment on column steps.attempt_base is 'Attempts used up before the last explicit retry.';

-- No update of steps is HOT, so every index costs at every transition: these and no others.
create index steps_ready on steps (shard, queue, priority desc, tenant_id, seq) where state = 'available';
create index steps_running on steps (shard, process_id) where state = 'running';
create index steps_due on steps (shard, run_at) where state = 'scheduled';
create index steps_no_handler on steps (shard, name) where reason = 'no_handler';
create index steps_finished on steps using brin (finished_at) with (pages_per_range = 32);

create table payloads (
    run_id  uuid     not null,
    ordinal integer  not null,
    shard   smallint not null,
    payload jsonb,
    options jsonb,
    idempotency_key text,
    primary key (shard, run_id, ordinal)
);

comment on table payloads is 'Insert-only. Ordinal 0: the payload of an intent or the inputs of a run; else the with of a step. options keeps each option with the level it came from.';

create table edges (
    run_id uuid     not null,
    parent integer  not null,
    child  integer  not null,
    shard  smallint not null,
    primary key (shard, run_id, parent, child)
);

create table keys (
    run_id    uuid     not null,
    shard     smallint not null,
    tenant_id text collate "C" not null,
    key       text collate "C" not null,
    name      text     not null,
    primary key (shard, tenant_id, key)
);

comment on table keys is 'Idempotency keys, unique per tenant over runs and intents while the row is kept.';
