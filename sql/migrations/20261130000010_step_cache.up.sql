-- Results of steps with `cache`, to be used again, and who is at work on one that is to come.

create table step_cache (
    created_at     timestamptz not null,
    filled_at      timestamptz,
    expires_at     timestamptz,
    holder_seq     bigint,
    holder_run     uuid,
    run_id         uuid,
    holder_ordinal integer,
    shard          smallint    not null,
    tenant_id      text collate "C" not null default '',
    key            text collate "C" not null,
    step_name      text collate "C" not null,
    version        text,
    scope          text        not null,
    state          text        not null,
    value          text,
    primary key (shard, tenant_id, key),
    constraint step_cache_is_filled check (case state when 'filled' then value is not null when 'filling' then holder_seq is not null else false end)
);

create index step_cache_expires on step_cache (shard, expires_at) where expires_at is not null;

comment on table step_cache is 'Results of steps with cache, by what they were made of. Losing rows costs executions, nothing else.';
comment on column step_cache.key is 'SHA-256 of scope, run, tenant, handler, and the key that was given or else version and input.';
comment on column step_cache.step_name is 'The name of the handler that made the result, or makes it.';
comment on column step_cache.version is 'Of the handler: declared, or of its source; null under a key that was given.';
comment on column step_cache.scope is 'run or global.';
comment on column step_cache.run_id is 'Whose result it is, of scope run.';
comment on column step_cache.state is 'filling while an attempt is at work on it, then filled.';
comment on column step_cache.created_at is 'When the attempt began that fills it.';
comment on column step_cache.expires_at is 'From when on it is made anew; null for never. Of one that is being filled, when it is forgotten.';
comment on column step_cache.holder_run is 'With holder_ordinal and holder_seq the lease of the attempt that fills it.';
comment on column step_cache.value is 'The result, as JSON text.';

alter table step_cache enable row level security;
create policy tenants on step_cache using ((select tributary.session_tenants()) is null or tenant_id = any ((select tributary.session_tenants())::text[]));
