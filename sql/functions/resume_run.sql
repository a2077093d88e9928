-- Public. A paused run goes on, with its child runs. Returns the state it was in.
-- Locks: root run, then steps. Raises TR003 for an unknown id, TR004 when it is not paused.
create or replace function tributary.resume_run(id uuid) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_now timestamptz;
    v_queues text[];
    v_child uuid;
    v_us bigint;
begin
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if not found then
        raise exception 'no run has the id %', id using errcode = 'TR003', hint = 'list them: trib list --kind run';
    elsif v_run.state <> 'paused' then
        raise exception 'run % is not paused: it is %', id, v_run.state using errcode = 'TR004', hint = 'trib status shows what it waits for';
    end if;
    v_now := clock();
    v_us := clock_us();
    with held as materialized (
        select s.ctid as tid, s.state, s.reason, s.flags, s.run_at, row_number() over (order by s.ordinal) as i from steps s
        where s.shard = v_shard and s.run_id = id and s.finished_at is null
    ), again as (
        update steps s
        set flags = s.flags & ~64,
            state = case when h.reason is distinct from 'paused' or h.state <> 'waiting' then h.state
                         when h.flags & 128 = 128 then 'waiting'
                         when h.run_at > v_now then 'scheduled' else 'available' end::step_state,
            reason = case when h.reason is distinct from 'paused' then h.reason when h.flags & 128 = 128 then 'parallel' end,
            seq = case when h.reason = 'paused' and h.state = 'waiting' then greatest(s.seq + 1, v_us + h.i) else s.seq end
        from held h
        where s.ctid = h.tid and s.shard = v_shard
        returning s.queue, s.state
    )
    select array_agg(distinct a.queue) filter (where a.state = 'available') into v_queues from again a;
    update runs r set state = 'running' where r.shard = v_shard and r.run_id = id;
    insert into event_log (run_id, at, shard, tenant_id, type) values (id, v_now, v_shard, v_run.tenant_id, 'run_resumed');
    if v_run.max_parallel is not null then
        v_queues := v_queues || fill_run(v_shard, id, v_run.max_parallel, v_now);
    end if;
    perform wake(v_queues);
    for v_child in select r.run_id from runs r where r.shard = v_shard and r.parent_run_id = id and r.state = 'paused' loop
        perform resume_run(v_child);
    end loop;
    return v_run.state::text;
end $$;
