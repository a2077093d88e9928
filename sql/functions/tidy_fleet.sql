-- Leader's housekeeping: rows of workers and processes that fell silent long ago go; what a dead `trib run` left is cancelled.
-- Index: runs_private, and the part of steps_ready whose queues start with @.
create or replace function tributary.tidy_fleet(p_silent interval) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_gone integer := 0;
    v_id uuid;
    v_old timestamptz := clock() - p_silent;
begin
    delete from workers w where w.beat_at < v_old;
    delete from processes p where p.beat_at < v_old;
    perform sweep_waiters();
    for v_id in
        (select r.run_id from runs r
         where r.runner_id is not null and r.state in ('running', 'paused')
           and not exists (select from workers w where w.worker_id = r.runner_id and w.beat_at > clock() - interval '15 seconds')
         order by r.run_id limit 100)
        union all
        -- an intent names no runner; its private queue that nobody serves tells
        (select s.run_id
         from generate_series(0, shard_count() - 1) as n(shard)
         join steps s on s.shard = n.shard::smallint and s.state = 'available' and s.queue >= '@' and s.queue < 'A'
         where s.kind = 'intent'
           and not exists (select from workers w where s.queue = any (w.queues) and w.beat_at > clock() - interval '15 seconds')
         limit 100)
    loop
        begin
            perform cancel(v_id, 'runner_gone');
            v_gone := v_gone + 1;
        exception when sqlstate 'TR004' then
            null;  -- it ended in this very moment
        end;
    end loop;
    return v_gone;
end $$;
