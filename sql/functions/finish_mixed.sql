-- The part of finish_steps for batches in which something did not go well: row by row, with attempts, events and dead letters.
-- The rows are locked by the caller. Returns per row: -1 it has not ended, 0 ended well, 1 tolerated, 2 failed, 4 failed in a hook,
-- 5 a failed item of a fan-out, 6 one that its fan-out may tolerate, 7 a failed step that a workflow function has asked for.
create or replace function tributary.finish_mixed(
    p_shard smallint, p_tids tid[], p_outcomes text[], p_results text[], p_errors text[], p_delays float8[], p_elapsed float8[], p_now timestamptz
) returns smallint[]
language plpgsql volatile
set search_path to tributary, pg_temp
set jit to off
set plan_cache_mode to force_custom_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_material to off
as $$
declare
    v_step steps;
    v_outcome text;
    v_error jsonb;
    v_started timestamptz;
    v_delay float8;
    v_options jsonb;
    v_used integer;
    v_crash boolean;
    v_lone smallint;
    v_tolerated boolean;
    v_next step_state;
    v_reason text;
    v_refused text;
    v_come jsonb;
    v_ends smallint[] := '{}';
    v_suspended integer[] := '{}';
    i integer;
    v_us bigint;
begin
    if 'started' = any (p_outcomes) then
        perform lock_groups(array_agg(s.tenant_id), array_agg(coalesce(nullif(u.child ->> 'group', ''), v.plan #>> '{concurrency,group}')))
        from (select t.tid, t.result::jsonb as child from unnest(p_tids, p_outcomes, p_results) as t(tid, outcome, result) where t.outcome = 'started') as u
        cross join lateral (select s.tenant_id from steps s where s.ctid = u.tid and s.shard = p_shard offset 0) as s
        join revisions v on v.revision_id = (u.child ->> 'revision')::uuid
        where v.plan ? 'concurrency';
    end if;
    for i in 1 .. cardinality(p_tids) loop
        select * into v_step from steps s where s.ctid = p_tids[i] and s.shard = p_shard;
        if not found then
            -- its workflow function has ended in this very batch, and left it behind
            v_ends := v_ends || (-1)::smallint;
            continue;
        end if;
        v_outcome := p_outcomes[i];
        v_error := p_errors[i]::jsonb;
        -- without an elapsed time nobody knows whether the attempt had started
        v_started := coalesce(v_step.started_at,
                              case when p_elapsed[i] is not null then least(v_step.claimed_at + make_interval(secs => p_elapsed[i]), p_now) end);
        v_reason := v_error ->> 'reason';
        v_delay := p_delays[i];
        v_used := v_step.attempt - v_step.attempt_base - v_step.crashes;

        v_lone := v_step.lone_crashes;
        v_crash := v_outcome in ('crashed', 'suspected', 'crashed_alone');

        -- at most once where max_attempts is 1: what has started never starts again; what has not is simply given back
        if v_step.max_attempts = 1 and v_outcome in ('released', 'crashed', 'suspected') then
            -- nor has the end of a step whose child run is through
            if v_step.started_at is null or v_step.name = 'trib.workflow.v1' then
                v_outcome := 'released';
            else
                v_outcome := 'discarded';
                v_reason := 'interrupted';
                v_error := coalesce(v_error, jsonb_build_object('type', 'Interrupted', 'message', 'the attempt was interrupted after its start; max_attempts is 1'))
                    || jsonb_build_object('reason', 'interrupted');
            end if;
        elsif v_crash and v_outcome <> 'crashed_alone' and v_lone is not null and v_step.started_at is null then
            -- the start of a suspect is recorded: this one was still waiting for its turn
            v_outcome := 'released';
        elsif v_crash then
            v_error := coalesce(v_error, jsonb_build_object('type', 'ProcessLost', 'message', 'the process that ran this attempt stopped beating', 'reason', 'crashed'));
            v_reason := 'crashed';
            -- a crash counts an attempt, but only those that a suspect causes alone use a step up; when the whole worker died nobody
            -- knows who had started, so suspicion begins with the second such death
            v_lone := case when v_outcome = 'crashed_alone' or v_lone is not null then coalesce(v_lone, 0) + 1
                           when v_outcome = 'suspected' or v_step.crashes > 0 then 0 end;
            v_outcome := case when v_lone >= 3 or v_step.max_attempts = 1 then 'discarded' else 'crashed' end;
        elsif v_outcome = 'retry' and v_used >= v_step.max_attempts then
            v_outcome := 'discarded';
            v_reason := coalesce(v_reason, 'exhausted');
        elsif v_outcome = 'retry' then
            select p.options into v_options from payloads p
            where p.shard = p_shard and p.run_id = v_step.run_id and p.ordinal = v_step.ordinal;
            v_delay := coalesce(v_delay, retry_delay(v_step.kind, v_options, v_used));
            -- the budget counts from the start of the first attempt since the last explicit retry
            if p_now + make_interval(secs => v_delay) > (
                   select least(min(coalesce(a.started_at, a.claimed_at)), v_step.claimed_at)
                   from attempts a
                   where a.shard = p_shard and a.run_id = v_step.run_id and a.ordinal = v_step.ordinal and a.attempt > v_step.attempt_base
               ) + make_interval(secs => (v_options #>> '{retry,value,budget}')::float8) then
                v_outcome := 'discarded';
                v_reason := coalesce(v_reason, 'budget');
            end if;
        end if;
        if v_outcome = 'started' then
            v_refused := start_child(p_shard, v_step, p_results[i]::jsonb, p_now);
            if v_refused is not null then
                v_outcome := 'discarded';
                v_reason := 'group_limit';
                v_error := jsonb_build_object('type', 'GroupFull', 'message', v_refused, 'reason', 'group_limit');
            end if;
        end if;
        if v_outcome = 'waits' then
            v_come := begin_wait(p_shard, v_step, p_results[i]::jsonb, p_now);
            if v_come is not null then
                v_outcome := 'completed';
                p_results[i] := v_come::text;
            end if;
        end if;
        if v_error is not null then
            v_error := v_error || jsonb_build_object('attempt', v_step.attempt);
        end if;

        if v_outcome in ('completed', 'cached', 'skipped') then
            update steps s
            set state = case when v_outcome = 'skipped' then 'skipped' else 'completed' end::step_state, process_id = null, started_at = v_started, finished_at = p_now,
                result = case when v_outcome <> 'skipped' and s.kind <> 'closing' then p_results[i]::jsonb end,
                reason = case v_outcome when 'skipped' then 'condition' when 'cached' then 'cached' end
            where s.ctid = p_tids[i] and s.shard = p_shard;
            v_ends := v_ends || 0::smallint;
        elsif v_outcome in ('discarded', 'aborted') then
            v_reason := coalesce(v_reason, v_outcome);
            -- who aborts the run is not tolerated, whatever its own option says
            v_tolerated := (v_step.flags & (1 | 7680) <> 0 or is_asked(v_step.flags)) and v_outcome <> 'aborted';
            update steps s
            set state = 'discarded', process_id = null, started_at = v_started, finished_at = p_now, reason = v_reason,
                crashes = s.crashes + v_crash::integer, lone_crashes = v_lone
            where s.ctid = p_tids[i] and s.shard = p_shard;
            if v_step.kind <> 'closing' and not v_tolerated then
                insert into dead_letters (run_id, created_at, ordinal, shard, attempt, kind, tenant_id, name, queue, step_id, reason, error)
                values (v_step.run_id, p_now, v_step.ordinal, p_shard, v_step.attempt, v_step.kind, v_step.tenant_id,
                        case when v_step.name <> 'trib.options.v1' then v_step.name
                             else (select p.options ->> 'name' from payloads p
                                   where p.shard = p_shard and p.run_id = v_step.run_id and p.ordinal = v_step.ordinal) end, v_step.queue,
                        v_step.step_id, v_reason, coalesce(v_error, '{}'))
                on conflict (shard, run_id, ordinal) do update
                set created_at = excluded.created_at, attempt = excluded.attempt, reason = excluded.reason, error = excluded.error;
            end if;
            if v_step.flags & 8192 = 8192 and v_step.name <> 'trib.fan.v1' then
                -- nobody takes note of them any more
                perform leave_asked(p_shard, v_step.run_id, null, p_now);
            end if;
            v_ends := v_ends || case when is_asked(v_step.flags) and v_outcome <> 'aborted' then 7 when v_step.flags & 257 = 257 then 6 when v_step.flags & 256 = 256 then 5 when v_step.flags & 7680 <> 0 then 4 when v_tolerated then 1 else 2 end::smallint;
        elsif v_outcome = 'expanded' then
            perform expand_step(p_shard, v_step, p_results[i]::jsonb, p_now);
            v_ends := v_ends || (-1)::smallint;
        elsif v_outcome in ('started', 'waits') then
            v_ends := v_ends || (-1)::smallint;
        elsif v_outcome = 'suspended' then
            v_suspended := v_suspended || i;
            v_ends := v_ends || (-1)::smallint;
        elsif v_outcome = 'continued' then
            perform continue_run(p_shard, v_step, p_results[i]::jsonb, p_now);
            v_ends := v_ends || (-1)::smallint;
        elsif v_outcome = 'decided' then
            perform decide_step(p_shard, v_step, p_results[i]::jsonb, p_now);
            v_ends := v_ends || (-1)::smallint;
        else
            -- snoozed, cache_wait, released and returned give the attempt's number back; retry, crashed and parked keep it
            if v_outcome = 'parked' then
                v_delay := least(5 * power(2, least(v_step.attempt - v_step.attempt_base - 1, 10)), 300);
            end if;
            v_next := case when v_step.flags & 64 = 64 then 'waiting' when v_delay > 0 then 'scheduled' else 'available' end;
            v_us := clock_us();
            update steps s
            set state = v_next, process_id = null, started_at = case when v_step.name = 'trib.workflow.v1' and v_step.flags & 8192 = 8192 then s.started_at end,
                run_at = case when v_delay > 0 then p_now + make_interval(secs => v_delay) else s.run_at end,
                attempt = s.attempt - (v_outcome in ('snoozed', 'cache_wait', 'released', 'returned'))::integer,
                crashes = s.crashes + (v_outcome = 'crashed')::integer, lone_crashes = v_lone,
                reason = case when v_next = 'waiting' then 'paused' when v_outcome = 'parked' then 'nondeterminism'
                              when v_outcome = 'snoozed' then coalesce(v_reason, v_outcome)
                              when v_outcome not in ('released', 'returned') then v_outcome end,
                seq = greatest(s.seq + 1, v_us + i)
            where s.ctid = p_tids[i] and s.shard = p_shard;
            if v_next = 'available' then
                perform wake(array[v_step.queue]);
            end if;
            v_ends := v_ends || (-1)::smallint;
        end if;

        if v_outcome in ('retry', 'crashed', 'parked', 'discarded', 'aborted') then
            insert into attempts (run_id, seq, process_id, claimed_at, started_at, finished_at, ordinal, shard, attempt, tenant_id, outcome, worker, error)
            values (v_step.run_id, v_step.seq, v_step.process_id, v_step.claimed_at, v_started, p_now, v_step.ordinal, p_shard, v_step.attempt,
                    v_step.tenant_id, v_outcome, (select p.name from processes p where p.process_id = v_step.process_id), v_error)
            on conflict do nothing;
        end if;
        -- what was returned never started, though its start may be recorded by now: that is no event; a suspended function has its history,
        -- and who waits for another's result asks for it again and again
        if v_outcome not in ('completed', 'returned', 'suspended', 'cache_wait') then
            insert into event_log (run_id, at, ordinal, attempt, shard, tenant_id, type, data)
            values (v_step.run_id, p_now, v_step.ordinal, v_step.attempt, p_shard, v_step.tenant_id, 'step_' || v_outcome,
                    jsonb_strip_nulls(jsonb_build_object('reason', v_reason, 'delay', case when v_outcome not in ('discarded', 'aborted') then v_delay end, 'error', v_error ->> 'message', 'lone_crashes', case when v_crash then v_lone end,
                                                          'condition', case when v_outcome = 'skipped' then p_results[i]::jsonb end,
                                                          'items', case when v_outcome = 'expanded' then jsonb_array_length(p_results[i]::jsonb -> 'items') end,
                                                          'options', case when v_outcome = 'decided' then p_results[i]::jsonb end,
                                                          'name', case when v_outcome = 'started' then p_results[i]::jsonb ->> 'name' end,
                                                          'terms', case when v_outcome = 'waits' then p_results[i]::jsonb end)));
        end if;
    end loop;
    if cardinality(v_suspended) > 0 then
        perform suspend_steps(p_shard, array(select p_tids[n] from unnest(v_suspended) n), array(select p_results[n] from unnest(v_suspended) n), p_now);
    end if;
    return v_ends;
end $$;
