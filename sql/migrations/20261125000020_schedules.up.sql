-- Schedules: what starts by itself, and what became of each slot. Small tables, the same on every shard.

create table schedules (
    name         text collate "C" primary key,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    since        timestamptz not null,
    next_slot    timestamptz,
    next_at      timestamptz not null,
    last_slot    timestamptz,
    last_run_id  uuid,
    fired        bigint      not null default 0,
    missed       bigint      not null default 0,
    catchup      float8      not null default 0,
    jitter       float8      not null default 0,
    version      integer     not null default 1,
    queued       integer     not null default 0,
    tenant_id    text        not null default '',
    kind         text        not null,
    target       text        not null,
    cron         text        not null,
    timezone     text        not null default 'UTC',
    overlap      text        not null default 'skip',
    state        text        not null default 'active',
    workflow     text,
    error        text,
    payload      jsonb       not null default '{}',
    options      jsonb       not null default '{}',
    labels       jsonb       not null default '{}',
    constraint schedules_kinds check (kind in ('run', 'intent')),
    constraint schedules_overlaps check (overlap in ('skip', 'queue', 'allow')),
    constraint schedules_states check (state in ('active', 'paused', 'disabled')),
    constraint schedules_disabled_say_why check ((state = 'disabled') = (error is not null)),
    constraint schedules_spans_hold check (catchup >= 0 and jitter >= 0 and queued >= 0)
) with (fillfactor = 50);

-- one probe of each tells a leader when it is wanted
create index schedules_due on schedules (next_at) where state = 'active';
create index schedules_queued on schedules (name) where state = 'active' and queued > 0;
create index schedules_of_workflow on schedules (workflow) where workflow is not null;

comment on column schedules.since is 'Slots after this time count: it was added, changed or resumed then.';
comment on column schedules.next_slot is 'The next slot in UTC; null until a leader has computed it.';
comment on column schedules.next_at is 'When the leader looks at it: the next slot plus its jitter.';
comment on column schedules.version is 'Raised by each change of what is to be done; the leader''s writes are fenced by it.';
comment on column schedules.workflow is 'The workflow whose registration made it; null where it was added by hand.';
comment on column schedules.payload is 'Payload of the intent, or inputs of the run.';

create table schedule_fires (
    schedule   text collate "C" not null references schedules (name) on delete cascade,
    slot       timestamptz not null,
    until      timestamptz,
    at         timestamptz not null,
    run_id     uuid,
    missed     integer     not null default 0,
    unfinished boolean     not null default false,
    cause      text        not null default 'slot',
    outcome    text        not null,
    primary key (schedule, slot, missed),
    constraint schedule_fires_causes check (cause in ('slot', 'trigger', 'backfill')),
    constraint schedule_fires_outcomes check (outcome in ('fired', 'queued', 'skipped', 'missed')),
    constraint schedule_fires_have_work check ((outcome = 'fired') = (run_id is not null)),
    constraint schedule_fires_count_what_is_missed check ((outcome = 'missed') = (missed > 0))
);

create index schedule_fires_queued on schedule_fires (schedule, slot) where outcome = 'queued';
create index schedule_fires_unfinished on schedule_fires (schedule) where unfinished;

comment on table schedule_fires is 'What became of each slot; the last 1,000 of a schedule, and what is not finished.';
comment on column schedule_fires.unfinished is 'Not known to have ended: looked at when the next slot wants to know.';
comment on column schedule_fires.missed is 'How many slots, from slot to until, came while no worker was there and were too old afterwards.';
