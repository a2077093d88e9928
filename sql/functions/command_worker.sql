-- Public. Tells workers to pause, resume, drain or stop: by name (all of that name), HOST/NAME, or id. Returns the ids of those told.
-- A worker that is silent for 10 s is not told. A stop escalates a drain; neither can be undone, nor paused or resumed.
-- Locks: rows of workers by id. Raises TR001 for another command, TR003 when no live worker fits, TR004 when those that do are ending.
create or replace function tributary.command_worker(name text, command text) returns setof bigint
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_now timestamptz;
    v_found bigint[];
    v_live bigint[];
    v_told bigint[];
    v_silent interval;
begin
    if command is null or command not in ('pause', 'resume', 'drain', 'stop') then
        raise exception '% is no command for a worker', coalesce(quote_literal(command), 'null')
            using errcode = 'TR001', hint = 'pause, resume, drain or stop';
    end if;
    v_found := array(select w.worker_id from workers w
                     where name in (w.name, w.host || '/' || w.name, w.worker_id::text) order by w.worker_id for update);
    v_now := clock();
    if cardinality(v_found) = 0 then
        raise exception 'there is no worker %', coalesce(quote_literal(name), 'null') using errcode = 'TR003', hint = 'list them: trib workers';
    end if;
    select array_agg(w.worker_id) filter (where w.beat_at > v_now - interval '10 seconds'), v_now - max(w.beat_at) into v_live, v_silent
    from workers w where w.worker_id = any (v_found);
    if v_live is null then
        raise exception 'worker % is gone: it has not beaten for % s', quote_literal(name), round(extract(epoch from v_silent))
            using errcode = 'TR003', hint = 'what it held is given to others; list those that live: trib workers';
    end if;
    v_told := array(select w.worker_id from workers w
                    where w.worker_id = any (v_live)
                      and (command in ('drain', 'stop') or w.state <> 'draining' and coalesce(w.command, 'pause') = 'pause')
                    order by w.worker_id);
    if cardinality(v_told) = 0 then
        raise exception 'worker % is draining, which cannot be undone', quote_literal(name)
            using errcode = 'TR004', hint = 'wait for its end; `trib workers stop` ends it at once';
    end if;
    update workers w
    set command = case when command = 'resume' then null when w.command = 'stop' then 'stop' else command end, commanded_at = v_now
    where w.worker_id = any (v_told);
    perform pg_notify('tributary_command', id::text) from unnest(v_told) as told(id);
    return query select id from unnest(v_told) as told(id);
end $$;
