-- Clients that wait for the end of work, and for which. Unlogged: nothing is lost with them, whoever waits registers anew, and its
-- commits wait for no flush. Two tables, so that those who end work learn from an almost empty one that nobody waits.

create unlogged table waiters (
    waiter_id  uuid        primary key,
    expires_at timestamptz not null
) with (fillfactor = 30);

create unlogged table awaited (
    run_id    uuid     not null,
    waiter_id uuid     not null,
    shard     smallint not null,
    primary key (shard, run_id, waiter_id)
);

create index awaited_by_waiter on awaited (waiter_id);

comment on table waiters is 'Clients that are told of ends on their channel. One that stopped renewing its row is swept by the leader, with what it waited for.';
comment on table awaited is 'Runs and intents whose end a waiter wants to be told of. Only ids: what has become of them is read with the rights of the reader.';
