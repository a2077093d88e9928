-- What the hooks circuit_breaker and rate_limit share over all processes: a row for each breaker that is not at rest, and for each bucket in use;
-- and what the hook audit has taken note of.

create table circuit_breakers (
    tenant_id  text collate "C" not null,
    name       text collate "C" not null,
    state      text        not null,
    failed_at  timestamptz[] not null default '{}',
    retry_at   timestamptz,
    probing    bigint      not null default 0,
    probes     integer     not null default 0,
    succeeded  integer     not null default 0,
    updated_at timestamptz not null,
    primary key (tenant_id, name),
    constraint circuit_breakers_states check (state in ('closed', 'open', 'half_open')),
    constraint circuit_breakers_retry check ((state = 'closed') = (retry_at is null))
) with (fillfactor = 50);

create index circuit_breakers_by_age on circuit_breakers (updated_at);

comment on table circuit_breakers is 'Circuit breakers that have met failures; one without a row is closed.';
comment on column circuit_breakers.failed_at is 'When the last failures were, of a closed one; as many as open it.';
comment on column circuit_breakers.retry_at is 'Of an open one: when it may be tried; of a half-open one: until when its probes have to answer.';
comment on column circuit_breakers.probing is 'Tells the probes of one half-open time from those of another: microseconds at its begin.';

create policy tenants on circuit_breakers
    using ((select session_tenants()) is null or tenant_id = any ((select session_tenants())::text[]));
alter table circuit_breakers enable row level security;

create table rate_buckets (
    tenant_id  text collate "C" not null,
    name       text collate "C" not null,
    tokens     float8      not null,
    filled_at  timestamptz not null,
    returns_at timestamptz not null,
    full_at    timestamptz not null,
    primary key (tenant_id, name)
) with (fillfactor = 50);

create index rate_buckets_by_full on rate_buckets (full_at);

comment on table rate_buckets is 'Buckets of tokens of the hook rate_limit; one without a row is full.';
comment on column rate_buckets.returns_at is 'When the next one that is put off is to come again: they come back one by one, as tokens do.';
comment on column rate_buckets.full_at is 'When the bucket is full, should nobody take any more: then its row says nothing.';

create policy tenants on rate_buckets
    using ((select session_tenants()) is null or tenant_id = any ((select session_tenants())::text[]));
alter table rate_buckets enable row level security;

create table audit_log (
    audit_id     bigint      generated always as identity,
    run_id       uuid        not null,
    at           timestamptz not null,
    keep_until   timestamptz,
    shard        smallint    not null,
    attempt      smallint,
    tenant_id    text collate "C" not null,
    action       text        not null,
    name         text        not null,
    step         text,
    login        text        not null,
    place        text        not null,
    payload_hash bytea,
    result_hash  bytea,
    payload      jsonb,
    result       jsonb,
    error        text,
    primary key (shard, audit_id),
    constraint audit_log_actions check (action in ('submitting', 'submitted', 'known', 'completed', 'failed', 'put_off', 'cancelled'))
);

create index audit_log_of_run on audit_log (shard, run_id);
create index audit_log_expired on audit_log (shard, keep_until) where keep_until is not null;

comment on table audit_log is 'Who submitted or ran what, and what became of it: written by the hook audit, by no role changed, removed when keep_until is over.';
comment on column audit_log.action is 'submitting: in a transaction of the caller, which may have been rolled back; known: its idempotency key was known.';
comment on column audit_log.login is 'The login that wrote the row, as the database knows it.';
comment on column audit_log.place is 'As the writer says: user@host of a client, the label of a process.';
comment on column audit_log.payload_hash is 'SHA-256 of the JSON with its keys in order.';

create policy tenants on audit_log
    using ((select session_tenants()) is null or tenant_id = any ((select session_tenants())::text[]));
alter table audit_log enable row level security;
