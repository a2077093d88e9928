drop index if exists steps_parallel;
drop index if exists runs_children;
drop index if exists runs_deadline;
alter table runs
    drop column if exists flags,
    drop column if exists max_parallel,
    drop column if exists ending,
    drop column if exists deadline;
comment on column steps.flags is 'Bits: 1 optional (continue_on_error), 2 a need ended badly, 4 the condition has a status function, 8 with holds expressions, 16 run_after counts from the end of the needs.';
comment on table progress is 'Details of the last heartbeat of a step, given to its next attempt.';
