-- What attend_work answers, as workers of the release before ask for it: goes one release later. Index: as attend_work.
create or replace function tributary.attend_all(
    p_worker bigint, p_seconds float8, p_lease interval, p_expected timestamptz, p_silent interval
) returns table (leads boolean, dead boolean, due boolean, waiting boolean, abandoned boolean, schedule_in float8, queued boolean)
language sql volatile
as $$
    select a.leads, a.dead, a.due, a.waiting, a.abandoned, a.schedule_in, a.queued
    from tributary.attend_work(p_worker, p_seconds, p_lease, p_expected, p_silent) as a
$$;
