-- What workflow functions have done: the events from which they are replayed.

create table history (
    run_id    uuid        not null,
    at        timestamptz not null,
    number    integer     not null,
    shard     smallint    not null,
    tenant_id text collate "C" not null default '',
    events    jsonb       not null,
    primary key (shard, run_id, number)
);

comment on table history is 'What workflow functions have done, from which they are replayed: a row for each time that one ended, or gave back its process to wait.';
comment on column history.events is 'In their order: began, asked, ended, did, patched, undo; docs/workflow-functions.md says what each holds.';

comment on column steps.flags is 'Bits: 1 optional (continue_on_error), 2 a need ended badly, 4 decides itself (its condition has a status function, or it gathers items), 8 with holds expressions, 16 run_after counts from the end of the needs, 32 has a condition, 64 its run is paused, 128 its run limits what runs at once, 256 item of a fan-out, 512 on_success, 1024 on_failure, 2048 on_cancel, 4096 finally, 512 and 1024 together undo, 8192 a fan-out whose items exist, or a workflow function with a history, 16384 a fan-out whose aggregate exists; without 8192, a step that a workflow function has asked for.';
