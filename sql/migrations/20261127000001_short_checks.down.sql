alter table runs
    drop constraint runs_ended_have_a_time,
    drop constraint runs_remaining_holds,
    add constraint runs_counters_hold check (remaining >= 0 and failed >= 0 and warnings >= 0) not valid,
    add constraint runs_ended_have_a_time check ((state in ('completed', 'failed', 'cancelled')) = (finished_at is not null)) not valid;

alter table steps
    drop constraint steps_owned_while_running,
    drop constraint steps_ended_have_a_time,
    drop constraint steps_unmet_holds,
    add constraint steps_running_are_owned check (state <> 'running' or (process_id is not null and claimed_at is not null)) not valid,
    add constraint steps_owned_are_running check (state = 'running' or process_id is null) not valid,
    add constraint steps_ended_have_a_time check ((state in ('completed', 'skipped', 'cancelled', 'discarded')) = (finished_at is not null)) not valid,
    add constraint steps_counters_hold check (unmet >= 0 and attempt >= 0 and max_attempts >= 1 and crashes >= 0) not valid,
    add constraint steps_lone_crashes_hold check (lone_crashes is null or lone_crashes between 0 and crashes) not valid;
