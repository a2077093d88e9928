-- What steps wait for that no worker does: times, signals to their run, answers of people.

create table waits (
    run_id     uuid        not null,
    began_at   timestamptz not null,
    due_at     timestamptz,
    ordinal    integer     not null,
    shard      smallint    not null,
    goes_on    boolean     not null default false,
    tenant_id  text collate "C" not null default '',
    kind       text        not null,
    signal     text collate "C",
    payload    jsonb,
    prompt     text,
    form       jsonb,
    primary key (shard, run_id, ordinal),
    constraint waits_are_for_something check (case kind when 'signal' then signal is not null when 'timer' then due_at is not null else kind = 'approval' end)
);

create index waits_due on waits (shard, due_at) where due_at is not null;

comment on table waits is 'Steps that wait for a time (timer), a signal to their run, or an answer of people (approval); a row goes when its step ends.';
comment on column waits.due_at is 'When the time has come, or the wait for a signal or an answer is over.';
comment on column waits.goes_on is 'Whether the step completes, without a result, when no signal or answer came in time; else it is discarded.';
comment on column waits.payload is 'What the payload of the signal has to hold.';
comment on column waits.form is 'What an answer has to hold, declared like inputs.';

create table signals (
    run_id    uuid        not null,
    sent_at   timestamptz not null,
    taken_at  timestamptz,
    number    integer     not null,
    taken_by  integer,
    shard     smallint    not null,
    tenant_id text collate "C" not null default '',
    name      text collate "C" not null,
    key       text collate "C",
    sender    text        not null,
    payload   jsonb       not null,
    primary key (shard, run_id, number),
    constraint signals_are_taken_once check ((taken_by is null) = (taken_at is null))
);

create unique index signals_keys on signals (shard, run_id, key) where key is not null;

comment on table signals is 'Signals to runs, numbered in the order in which they came. Each is taken by one step; those of a run go with it.';
comment on column signals.taken_by is 'Ordinal of the step that took it; null while none has.';
comment on column signals.key is 'Under a key a signal is stored once in its run.';
