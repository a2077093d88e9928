-- Schedules that a leader has something to do for: a slot is due (or has never been computed), or one waits and nothing stands before it any
-- more. p_but names those to leave out. Answers are hints, taken without locks; whatever fires looks again.
-- Index: schedules_due, schedules_queued, schedule_fires_queued.
create or replace function tributary.due_slots(p_but text[], p_limit integer) returns table (
    name text, version integer, kind text, target text, cron text, timezone text, overlap text, catchup float8, jitter float8,
    payload jsonb, labels jsonb, since timestamptz, next_slot timestamptz, next_at timestamptz, queued timestamptz, now timestamptz
)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    -- a value: compared with a volatile clock() no index could end a scan
    v_now timestamptz := clock();
begin
    return query
        with found as materialized (
            (select s.* from schedules s
             where s.state = 'active' and s.next_at <= v_now and s.name <> all (p_but)
             order by s.next_at limit p_limit)
            union
            (select s.* from schedules s
             where s.state = 'active' and s.queued > 0 and s.name <> all (p_but)
               and (s.overlap = 'allow' or not schedule_works(s.name))
             order by s.name limit p_limit)
        )
        select f.name, f.version, f.kind, f.target, f.cron, f.timezone, f.overlap, f.catchup, f.jitter, f.payload, f.labels, f.since, f.next_slot,
               f.next_at,
               (select min(q.slot) from schedule_fires q
                where f.queued > 0 and q.schedule = f.name and q.outcome = 'queued' and (f.overlap = 'allow' or not schedule_works(f.name))),
               v_now
        from found f
        order by f.next_at, f.name;
end $$;
