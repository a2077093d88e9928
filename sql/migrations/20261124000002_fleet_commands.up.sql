-- What an operator wants of a worker, and what processes say of themselves. None of it is indexed: a beat stays a HOT update.
alter table workers
    add column command      text        check (command in ('pause', 'drain', 'stop')),
    add column commanded_at timestamptz,
    add column processes    integer;
alter table processes
    add column slots   integer,
    add column rss     bigint,
    -- last, so that a beat that leaves it alone logs nothing of it
    add column current jsonb;

comment on column workers.command is 'What an operator wants; written by command_worker, null for nothing.';
comment on column workers.processes is 'How many processes it wants.';
comment on column processes.rss is 'Resident memory in bytes.';
comment on column processes.current is 'At most 20 of what runs: id, ordinal, name, since. Null when the process does not say.';
