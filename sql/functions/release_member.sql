-- A member of a group gets the slot that it has waited for: its step, or the roots of its run, may be claimed, or wait for their time, for
-- their run to be resumed, or for room in its max_parallel, which a step has left to others. Returns released; gone, where it has ended;
-- busy, where somebody has its rows locked.
-- Locks: the root run of a run or of a step with such a limit, step rows, both by SKIP LOCKED. Index: runs_pkey, steps_pkey.
create or replace function tributary.release_member(p_shard smallint, p_run_id uuid, p_ordinal integer, p_now timestamptz) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_root uuid;
    v_state run_state;
    v_parallel integer;
    -- of a run, whose root is locked; of a step alone its flag tells, as what was read of its run may be an old state by now
    v_paused boolean := false;
    v_tids tid[];
    v_step record;
    v_queues text[];
    v_us bigint;
begin
    select r.root_id, r.state, case when p_ordinal >= 0 then r.max_parallel end into v_root, v_state, v_parallel from runs r where r.shard = p_shard and r.run_id = p_run_id;
    if p_ordinal < 0 and (v_state is null or v_state not in ('running', 'paused')) then
        return 'gone';
    elsif p_ordinal < 0 or v_parallel is not null then
        perform from runs r where r.shard = p_shard and r.run_id = v_root for update skip locked;
        if not found then
            return 'busy';
        end if;
    end if;
    if p_ordinal < 0 then
        -- read again, under the lock
        select r.state into v_state from runs r where r.shard = p_shard and r.run_id = p_run_id;
        if v_state not in ('running', 'paused') then
            return 'gone';
        end if;
        v_paused := v_state = 'paused';
        v_tids := array(
            select s.ctid from steps s
            where s.shard = p_shard and s.run_id = p_run_id and s.state = 'waiting' and s.reason = 'group'
              and not exists (select from group_slots g where g.shard = p_shard and g.run_id = p_run_id and g.ordinal = s.ordinal and g.state = 'waiting')
            for update);
    else
        select s.ctid as tid, s.finished_at, s.state, s.reason into v_step
        from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal
        for update skip locked;
        if not found then
            return case when exists (select from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal)
                        then 'busy' else 'gone' end;
        elsif v_step.finished_at is not null then
            return 'gone';
        elsif v_step.state = 'waiting' and v_step.reason = 'group' then
            v_tids := array[v_step.tid];
        end if;
    end if;
    v_us := clock_us();
    with released as (
        update steps s
        set state = case when v_paused or s.flags & 64 = 64 or (v_parallel is not null and s.flags & 128 = 128) then 'waiting'
                         when s.run_at > p_now then 'scheduled' else 'available' end::step_state,
            reason = case when v_paused or s.flags & 64 = 64 then 'paused' when v_parallel is not null and s.flags & 128 = 128 then 'parallel' end,
            seq = greatest(s.seq + 1, v_us + u.i)
        from unnest(v_tids) with ordinality as u(tid, i)
        where s.ctid = u.tid and s.shard = p_shard
        returning s.queue, s.state
    )
    select array_agg(r.queue) filter (where r.state = 'available') into v_queues from released r;
    if v_parallel is not null then
        v_queues := v_queues || fill_run(p_shard, p_run_id, v_parallel, p_now);
    end if;
    perform wake(v_queues);
    return 'released';
end $$;
