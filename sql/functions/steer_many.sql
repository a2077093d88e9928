-- Does one thing to each of many runs and intents, in one transaction: cancel, retry, requeue, drop, drop_at or change; p_given holds its arguments
-- {reason, priority, queue, run_after}. p_steps: the step of each, where it is one. drop_at is drop with the ordinals of dead letters there;
-- with step ids the release before calls it. Returns a row for each, in order: its new state, or why it could not be done; that undoes nothing
-- of the others.
-- Locks: root runs by id, counters of groups that they enter, then steps: callers give the ids in order.
create or replace function tributary.steer_many(p_shard smallint, p_action text, p_ids uuid[], p_steps text[], p_given jsonb)
returns table (place integer, state text, code text, message text)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_variable
declare
    v_id uuid;
    v_step text;
    v_last uuid;
    v_steps text[];
    -- what the session does not see is not locked either; each is refused where its turn comes
    v_seen uuid[] := array(select u.id from unnest(p_ids) with ordinality as u(id, place) where sees_work(u.id) order by u.place);
begin
    perform lock_runs(p_shard, v_seen);
    if p_action in ('retry', 'requeue') then
        perform lock_groups(array_agg(r.tenant_id), array_agg(p.options ->> 'group'))
        from unnest(v_seen) as u(id)
        join runs r on r.shard = p_shard and r.run_id = u.id and r.flags & 64 = 64 and r.finished_at is not null
        join payloads p on p.shard = p_shard and p.run_id = u.id and p.ordinal = 0;
    end if;
    for place, v_id, v_step in select u.place, u.id, u.step from unnest(p_ids, p_steps) with ordinality as u(id, step, place) order by u.place loop
        -- dead letters of one run go back together: once it is at work again, no other would
        continue when p_action = 'requeue' and v_id = v_last;
        v_last := v_id;
        state := null;
        code := null;
        message := null;
        begin
            case p_action
                when 'cancel' then
                    perform cancel(v_id, p_given ->> 'reason');
                    state := 'cancelled';
                when 'retry' then state := retry(v_id);
                when 'requeue' then
                    v_steps := array(select u.step from unnest(p_ids, p_steps) as u(id, step) where u.id = v_id and u.step is not null);
                    state := case when cardinality(v_steps) > 1 then requeue_steps(v_id, v_steps) else requeue(v_id, v_step) end;
                when 'drop', 'drop_at' then
                    delete from dead_letters d
                    where d.shard = p_shard and d.run_id = v_id and v_id = any (v_seen)
                      and case when p_action = 'drop' then d.step_id is not distinct from v_step else d.ordinal = v_step::integer end;
                    state := 'dropped';
                    if not found then
                        code := 'TR003';
                        message := 'it is no dead letter any more';
                    end if;
                when 'change' then
                    state := change(v_id, (p_given ->> 'priority')::integer, p_given ->> 'queue',
                                    coalesce((p_given ->> 'run_after')::timestamptz, clock() + make_interval(secs => (p_given ->> 'delay')::float8)));
            end case;
        exception when sqlstate 'TR001' or sqlstate 'TR003' or sqlstate 'TR004' then
            get stacked diagnostics code = returned_sqlstate, message = message_text;
        end;
        return next;
        if p_action = 'requeue' then
            for place in select u.place from unnest(p_ids) with ordinality as u(id, place) where u.id = v_id and u.place > steer_many.place loop
                return next;
            end loop;
        end if;
    end loop;
end $$;
