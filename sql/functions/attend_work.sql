-- What attend tells a leader, and what there is to do for schedules: in how many seconds the next slot is due (null: there is none), and
-- whether slots wait for earlier work; and in how many the first run is past its timeout. One statement.
-- Index: schedules_due, schedules_queued, runs_deadline; else as attend.
create or replace function tributary.attend_work(
    p_worker bigint, p_seconds float8, p_lease interval, p_expected timestamptz, p_silent interval
) returns table (leads boolean, dead boolean, due boolean, waiting boolean, abandoned boolean, schedule_in float8, queued boolean, deadline_in float8)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
begin
    select a.leads, a.dead, a.due, a.waiting, a.abandoned into leads, dead, due, waiting, abandoned
    from attend(p_worker, p_seconds, p_lease, p_expected, p_silent) as a;
    if leads then
        schedule_in := (select extract(epoch from s.next_at - clock())::float8 from schedules s
                        where s.state = 'active' order by s.next_at limit 1);
        queued := exists (select from schedules s where s.state = 'active' and s.queued > 0);
        deadline_in := (select extract(epoch from min(first.deadline) - clock())::float8
                        from generate_series(0, shard_count() - 1) as n(shard)
                        cross join lateral (select r.deadline from runs r where r.shard = n.shard::smallint and r.deadline is not null
                                            order by r.deadline limit 1) as first);
    end if;
    return next;
end $$;
