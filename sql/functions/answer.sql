-- What approve and reject do: the answer of a person to a step that asks for it. step: STEP, or STEP[KEY] for an item. Returns the step's
-- state. Locks: root run, then the step.
create or replace function tributary.answer(id uuid, step text, approved boolean, given jsonb, reason text, sender text) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_id text := case when step like '%[%]' then left(step, strpos(step, '[') - 1) else step end;
    v_key text := case when step like '%[%]' then substr(step, strpos(step, '[') + 1, length(step) - strpos(step, '[') - 1) end;
    v_run runs;
    v_step steps;
    v_form jsonb;
    v_now timestamptz;
begin
    perform check_sight(id);
    sender := coalesce(sender, session_user);
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if not found then
        raise exception 'no run has the id %', id using errcode = 'TR003', hint = 'list them: trib list --kind run';
    end if;
    select s.* into v_step from steps s
    where s.shard = v_shard and s.run_id = id and s.kind = 'step' and s.step_id = v_id
      and case when v_key is null then s.flags & 256 = 0 else s.item_key = v_key end
    order by s.ordinal limit 1;
    if not found then
        raise exception 'run % has no step %', id, quote_literal(step) using errcode = 'TR003', hint = 'trib status shows its steps';
    elsif v_step.state <> 'waiting' or v_step.reason <> 'approval' then
        raise exception 'step % of run % asks for no answer: it is %', quote_literal(step), id, v_step.state
            using errcode = 'TR004', hint = 'trib why says what it waits for';
    end if;
    select w.form into v_form from waits w where w.shard = v_shard and w.run_id = id and w.ordinal = v_step.ordinal;
    v_now := clock();
    if approved then
        -- an encrypted answer was checked by whoever gave it
        given := case when given ? '$sealed' then given else check_declared(coalesce(v_form, '{}'), coalesce(given, '{}'), 'field', 'the answer was refused', 'trib status shows what is asked for') end;
        perform check_payload('the answer', given);
        insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
        values (id, v_now, v_step.ordinal, v_step.attempt, v_shard, v_step.tenant_id, 'step_approved', jsonb_build_object('sender', sender));
        perform end_waits(v_shard, array[id], array[v_step.ordinal],
                          array[jsonb_build_object('approved', true, 'by', sender, 'at', v_now, 'answer', given)], array[null::jsonb], v_now);
    else
        insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
        values (id, v_now, v_step.ordinal, v_step.attempt, v_shard, v_step.tenant_id, 'step_rejected',
                jsonb_strip_nulls(jsonb_build_object('sender', sender, 'reason', reason)));
        perform end_waits(v_shard, array[id], array[v_step.ordinal], array[null::jsonb],
                          array[jsonb_build_object('type', 'Rejected', 'reason', 'rejected',
                                                   'message', format('rejected by %s%s', sender, coalesce(': ' || reason, '')))], v_now);
    end if;
    return (select s.state::text from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = v_step.ordinal);
end $$;
