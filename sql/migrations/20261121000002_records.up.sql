-- Rows for the unusual: what went well is derived from the timestamps of steps.

create table attempts (
    run_id      uuid        not null,
    seq         bigint      not null,
    process_id  bigint,
    claimed_at  timestamptz,
    started_at  timestamptz,
    finished_at timestamptz not null,
    ordinal     integer     not null,
    shard       smallint    not null,
    attempt     smallint    not null,
    tenant_id   text        not null default '',
    outcome     text        not null,
    worker      text,
    error       jsonb,
    primary key (shard, run_id, ordinal, seq)
);

comment on table attempts is 'Attempts that did not end well. seq is the token the attempt held.';

create table event_log (
    event_id   bigint      generated always as identity,
    run_id     uuid        not null,
    at         timestamptz not null,
    ordinal    integer,
    attempt    smallint,
    shard      smallint    not null,
    tenant_id  text        not null default '',
    type       text        not null,
    data       jsonb,
    primary key (shard, event_id)
);
create index event_log_of_run on event_log (shard, run_id, event_id);

create table dead_letters (
    run_id     uuid        not null,
    created_at timestamptz not null,
    ordinal    integer     not null,
    shard      smallint    not null,
    attempt    smallint    not null,
    kind       step_kind   not null,
    tenant_id  text        not null default '',
    name       text        not null,
    queue      text        not null,
    step_id    text,
    reason     text        not null,
    error      jsonb       not null,
    primary key (shard, run_id, ordinal)
);
create index dead_letters_by_time on dead_letters (shard, created_at);

comment on table dead_letters is 'Steps and intents that were discarded and not tolerated; the row leaves when it is requeued or dropped.';

create table progress (
    run_id  uuid        not null,
    at      timestamptz not null,
    ordinal integer     not null,
    shard   smallint    not null,
    details jsonb       not null,
    primary key (shard, run_id, ordinal)
) with (fillfactor = 50);

comment on table progress is 'Details of the last heartbeat of a step, given to its next attempt.';
