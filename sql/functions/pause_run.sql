-- Public. Pauses a run: what runs goes on, nothing else of it starts, nor of its child runs, until it is resumed. Returns the state it was in.
-- Locks: root run, then steps. Raises TR003 for an unknown id, TR004 when it has ended or is paused.
create or replace function tributary.pause_run(id uuid) returns text
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_child uuid;
begin
    perform check_sight(id);
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if not found then
        raise exception 'no run has the id %', id using errcode = 'TR003', hint = 'list them: trib list --kind run';
    elsif v_run.state = 'paused' then
        raise exception 'run % is paused already', id using errcode = 'TR004', hint = 'it goes on with: trib resume';
    elsif v_run.state <> 'running' then
        raise exception 'run % has ended: it is %', id, v_run.state using errcode = 'TR004', hint = 'there is nothing left to pause';
    end if;
    update steps s
    set flags = s.flags | 64,
        state = case when s.state in ('available', 'scheduled') then 'waiting' else s.state end,
        reason = case when s.state in ('available', 'scheduled') then 'paused' else s.reason end
    where s.shard = v_shard and s.run_id = id and s.finished_at is null;
    update runs r set state = 'paused' where r.shard = v_shard and r.run_id = id;
    insert into event_log (run_id, at, shard, tenant_id, type) values (id, clock(), v_shard, v_run.tenant_id, 'run_paused');
    for v_child in select r.run_id from runs r where r.shard = v_shard and r.parent_run_id = id and r.state = 'running' loop
        perform pause_run(v_child);
    end loop;
    return v_run.state::text;
end $$;
