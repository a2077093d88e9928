-- Who works, what is offered, what is registered. Small tables, the same on every shard.

create table registry (
    name          text        primary key,
    runtime       text        not null default 'python',
    is_enabled    boolean     not null default true,
    description   text,
    options       jsonb       not null default '{}',
    input_schema  jsonb,
    output_schema jsonb,
    offered_at    timestamptz,
    updated_at    timestamptz not null default clock_timestamp()
);

comment on table registry is 'Names of handlers. offered_at is null until a worker offered the name once; is_enabled and an operator''s runtime are never overwritten by workers.';

create table revisions (
    revision_id uuid        primary key,
    created_at  timestamptz not null,
    hash        text        not null,
    name        text        not null,
    source      text        not null,
    plan        jsonb       not null
);

create table workflows (
    name          text        primary key,
    revision_id   uuid        not null references revisions,
    description   text,
    registered_at timestamptz not null
);

create table queues (
    name       text        primary key,
    paused     boolean     not null default false,
    paused_at  timestamptz,
    created_at timestamptz not null default clock_timestamp()
);

create table workers (
    worker_id    bigint      primary key,
    started_at   timestamptz not null,
    beat_at      timestamptz not null,
    pid          integer     not null,
    concurrency  integer     not null,
    protocol     integer     not null,
    wants_wake   boolean     not null default true,
    state        text        not null default 'running',
    name         text        not null,
    host         text        not null,
    version      text        not null,
    queues       text[]      not null,
    names        text[]      not null,
    failures     jsonb       not null default '[]'
) with (fillfactor = 30);

create table processes (
    process_id bigint      primary key,
    worker_id  bigint,
    started_at timestamptz not null,
    beat_at    timestamptz not null,
    pid        integer,
    runtime    text        not null default 'python',
    name       text        not null
) with (fillfactor = 30);

create table leaders (
    role       text        primary key,
    worker_id  bigint      not null,
    expires_at timestamptz not null
);
