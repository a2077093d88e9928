-- What conditions, hooks, fan-outs, sub-workflows, limits of a run and its deadline need.

alter table runs
    -- Bits: 1 fail_fast, 2 on_success, 4 on_failure, 8 on_cancel, 16 finally, 32 max_parallel, 64 in a concurrency group.
    add column flags smallint not null default 0,
    add column max_parallel smallint,
    add column ending run_state,
    add column deadline timestamptz;

-- on columns alone that no counter changes: a predicate on the state would cost every counter its HOT update
create index runs_deadline on runs (shard, deadline) where deadline is not null;
create index runs_children on runs (shard, parent_run_id) where parent_run_id is not null;

comment on column runs.flags is 'Bits: 1 fail_fast, 2 on_success, 4 on_failure, 8 on_cancel, 16 finally, 32 max_parallel, 64 in a concurrency group.';
comment on column runs.ending is 'What the run has come to while its hooks are still at work.';
comment on column steps.flags is 'Bits: 1 optional (continue_on_error), 2 a need ended badly, 4 decides itself (its condition has a status function, or it gathers items), 8 with holds expressions, 16 run_after counts from the end of the needs, 32 has a condition, 64 its run is paused, 128 its run limits what runs at once, 256 item of a fan-out, 512 on_success, 1024 on_failure, 2048 on_cancel, 4096 finally, 8192 a fan-out whose items exist, 16384 a fan-out whose aggregate exists.';

-- Few rows are ever in it: steps that wait for another of their run to end.
create index steps_parallel on steps (shard, run_id, ordinal) where reason = 'parallel';

comment on table progress is 'Details of the last heartbeat of a step, given to its next attempt; of a fan-out, which steps its items are and how they fare.';
