-- PostgreSQL reads the text of every CHECK anew for each statement that writes, which a statement over one row feels: see
-- docs/decisions/0048-short-checks.md. What is left is what a wrong function would break first: who owns a row, whether it has
-- ended, when it is due, and the counters on which dependants and runs wait. Ended states are the last ones of their types.
alter table runs
    drop constraint runs_counters_hold,
    drop constraint runs_ended_have_a_time,
    add constraint runs_ended_have_a_time check ((state >= 'completed') = (finished_at is not null)) not valid,
    add constraint runs_remaining_holds check (remaining >= 0) not valid;

alter table steps
    drop constraint steps_running_are_owned,
    drop constraint steps_owned_are_running,
    drop constraint steps_ended_have_a_time,
    drop constraint steps_counters_hold,
    drop constraint steps_lone_crashes_hold,
    add constraint steps_owned_while_running check ((state = 'running') = (process_id is not null)) not valid,
    add constraint steps_ended_have_a_time check ((state >= 'completed') = (finished_at is not null)) not valid,
    add constraint steps_unmet_holds check (unmet >= 0) not valid;
