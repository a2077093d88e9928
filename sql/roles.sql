-- What the roles may do (app_role.sql has that of applications); names in braces are filled in by `trib migrate roles`. Runs as the owner of the schema, again and again: what a
-- role had before in this schema goes first. A routine or table that is not named here is the owner's alone.
-- docs/security.md says who should have which role. A new function of a later release has its line here, or nobody but the owner calls it.

revoke all on schema tributary from public, {submit}, {read}, {worker}, {admin};
revoke all on all tables in schema tributary from public, {submit}, {read}, {worker}, {admin};
revoke all on all sequences in schema tributary from public, {submit}, {read}, {worker}, {admin};
revoke all on all routines in schema tributary from public, {submit}, {read}, {worker}, {admin};
-- policies call it for whoever reads, with whatever grants
grant execute on routine tributary.session_tenants, tributary.sees_row, tributary.sees_schedule to public;

grant usage on schema tributary to {submit}, {read}, {worker}, {admin};
grant select on tributary.meta to {submit}, {read}, {worker}, {admin};

-- Submit: names may be looked up, nothing else is read. What these functions do, they do with the owner's rights.
grant execute on routine tributary.submit, tributary.submit_intent, tributary.submit_workflow,
    tributary.submit_named, tributary.submit_alone, tributary.submit_row_with,
    tributary.submit_run, tributary.submit_run_alone, tributary.submit_run_with,
    tributary.submit_intents, tributary.prepare_many, tributary.wake, tributary.clock, tributary.faked_clock, tributary.invoker_name, tributary.shard_count, tributary.tenant_to_submit, tributary.place_to_seal, tributary.check_name, tributary.record_audit
    to {submit}, {admin}, {worker};
grant insert on tributary.workflow_intent to {submit}, {admin}, {worker};
-- of the row that an insert made; the view itself is read with the reader's rights, which this role does not have
grant select (intent_id, status, created_at) on tributary.workflow_intent to {submit};
grant select on tributary.registry, tributary.workflows to {submit};
grant select (revision_id, hash, name, plan) on tributary.revisions to {submit};
grant select (wants_wake) on tributary.workers to {submit};

-- Read: everything that is recorded, and the functions that the views and lists are made of.
grant select on all tables in schema tributary to {read}, {worker}, {admin};
grant execute on routine tributary.clock, tributary.faked_clock, tributary.invoker_name, tributary.clock_us, tributary.shard_count, tributary.shard_of, tributary.ended_badly,
    tributary.first_id, tributary.next_id, tributary.run_state_now, tributary.rate_text, tributary.queue_opens, tributary.queue_held, tributary.queue_tokens,
    tributary.list_runs, tributary.list_intents, tributary.find_runs, tributary.find_intents, tributary.find_live_intents,
    tributary.find_unusual_runs, tributary.find_unusual_intents, tributary.read_events, tributary.find_correlated, tributary.find_prunable, tributary.kept_from, tributary.due_schedules, tributary.due_slots,
    tributary.schedule_works, tributary.is_control, tributary.only_waits, tributary.is_asked, tributary.find_ended, tributary.served_shards,
    -- whoever may read may wait: these two write ids of what is waited for, and nothing else
    tributary.await_ends, tributary.leave_waiters, tributary.limit_of, tributary.sees_work, tributary.find_lanes
    to {read};

-- Worker: it writes what work consists of, but decides nothing for people: no limits, pauses, names, workflows, commands.
grant execute on all routines in schema tributary to {worker}, {admin};
revoke execute on routine tributary.change, tributary.retry, tributary.retry_only, tributary.retry_preview, tributary.requeue,
    tributary.pause_run, tributary.resume_run, tributary.steer_many, tributary.set_queue, tributary.set_tenant, tributary.set_tenants, tributary.limit_submits, tributary.command_worker,
    tributary.schedule_intent, tributary.schedule_workflow, tributary.unschedule, tributary.pause_schedule, tributary.resume_schedule,
    tributary.trigger_schedule, tributary.register_workflow, tributary.save_revision, tributary.answer, tributary.approve, tributary.reject
    from {worker};
-- what has the owner's rights takes them from nobody who had none: cancel and signal are the worker's
revoke execute on routine tributary.requeue_steps, tributary.drop_dead_letter from {worker};
grant insert, update, delete on tributary.runs, tributary.steps, tributary.payloads, tributary.edges, tributary.keys, tributary.unique_keys,
    tributary.attempts, tributary.event_log, tributary.dead_letters, tributary.progress, tributary.log_chunks,
    tributary.workers, tributary.processes, tributary.leaders, tributary.queue_counters, tributary.queue_slots, tributary.queue_stats,
    tributary.groups, tributary.group_slots, tributary.schedule_fires, tributary.waits, tributary.signals, tributary.history, tributary.correlations,
    tributary.waiters, tributary.awaited, tributary.circuit_breakers, tributary.rate_buckets, tributary.step_cache
    to {worker}, {admin};
grant insert, update (description, options, input_schema, output_schema, offered_at, updated_at) on tributary.registry to {worker};
grant update (next_slot, next_at, last_slot, last_run_id, fired, missed, queued, state, error, updated_at, version, since)
    on tributary.schedules to {worker};

-- Admin: everything that can be said to Tributary. Objects, migrations and the faked clock stay the owner's.
grant insert, update, delete on tributary.registry, tributary.schedules, tributary.revisions, tributary.workflows, tributary.workflow_keeps,
    tributary.queues, tributary.submit_limits, tributary.tenants, tributary.tenant_logins to {admin};

-- Workers see the work of all tenants: without this policy each of their statements would ask for whom they act.
-- Made once, since it takes a lock on the table that nobody works beside.
do $workers$ declare called text; begin
    for called in
        select c.relname from pg_class c
        where c.relnamespace = 'tributary'::regnamespace and c.relrowsecurity
          and not exists (select from pg_policy p
                          where p.polrelid = c.oid and p.polname = 'workers' and p.polroles = array[$role${worker}$role$::regrole::oid])
        order by c.relname
    loop
        execute format('drop policy if exists workers on tributary.%I', called);
        execute format('create policy workers on tributary.%I to %s using (true) with check (true)', called, $role${worker}$role$);
    end loop;
end $workers$;
