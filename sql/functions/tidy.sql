-- Leader's housekeeping: rows of workers and processes that fell silent long ago go; runs of a dead `trib run` are cancelled.
create or replace function tributary.tidy(p_silent interval) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_gone integer := 0;
    v_run uuid;
begin
    delete from workers w where w.beat_at < clock() - p_silent;
    delete from processes p where p.beat_at < clock() - p_silent;
    for v_run in
        select r.run_id from runs r
        where r.runner_id is not null and r.state in ('running', 'paused')
          and not exists (select from workers w where w.worker_id = r.runner_id and w.beat_at > clock() - interval '15 seconds')
        order by r.run_id limit 100
    loop
        begin
            perform cancel(v_run, 'runner_gone');
            v_gone := v_gone + 1;
        exception when sqlstate 'TR004' then
            null;  -- it ended in this very moment
        end;
    end loop;
    return v_gone;
end $$;
