-- What attempts said: lines of shell steps and of step.log, in chunks. Rows only for those that say something.

create table log_chunks (
    run_id       uuid        not null,
    seq          bigint      not null,
    at           timestamptz not null,
    lines_before bigint      not null,
    bytes_before bigint      not null,
    ordinal      integer     not null,
    part         integer     not null,
    lines        integer     not null,
    bytes        integer     not null,
    shard        smallint    not null,
    attempt      smallint    not null,
    tenant_id    text        not null default '',
    entries      json        not null,
    primary key (shard, run_id, ordinal, seq, part)
);
create index log_chunks_by_time on log_chunks (shard, run_id, at);

comment on table log_chunks is 'What attempts said. seq is the token the attempt held; part counts its chunks.';
comment on column log_chunks.at is 'When the chunk was written.';
comment on column log_chunks.lines_before is 'Lines that the attempt had said before this chunk, dropped ones included: a gap to the chunk before tells how many were dropped.';
comment on column log_chunks.entries is 'Each [microseconds before at, stream, text] for output, where text may hold several lines, or [microseconds before at, "log", text, level, fields].';
