-- What the hooks circuit_breaker and rate_limit share over all processes: a row for each breaker that is not at rest, and for each bucket in use.

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
