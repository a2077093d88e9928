-- Spreads the schema over the nodes of a Citus cluster. Prepared, not run: docs/citus.md says what to expect, and citus_undo.sql undoes it.
-- Run on the coordinator as the owner of the schema, with no worker at work: psql -1 -v ON_ERROR_STOP=1 -f sql/citus.sql
-- It can be repeated: what is distributed already stays as it is. After a release that brings tables or functions it has to be.

set citus.multi_shard_modify_mode to 'sequential';

do $citus$
declare
    -- rows live with their shard: all in one colocation group, that of steps
    v_sharded text[] := array[
        'steps', 'runs', 'payloads', 'edges', 'keys', 'unique_keys', 'attempts', 'event_log', 'dead_letters', 'progress',
        'log_chunks', 'history', 'waits', 'signals', 'awaited', 'group_slots', 'queue_slots',
        'audit_log', 'correlations', 'step_cache'
    ];
    -- small, read beside rows of every shard, seldom written: a copy on each node. What another refers to comes first.
    v_everywhere text[] := array[
        'meta', 'registry', 'revisions', 'workflows', 'workflow_keeps', 'queues', 'workers', 'processes', 'waiters', 'tenants', 'tenant_logins'
    ];
    -- counters that are locked with SKIP LOCKED, and with a copy on each node would be locked as a whole table: on the coordinator, reached
    -- from all nodes
    v_counters text[] := array[
        'groups', 'queue_counters'
    ];
    -- only touched by what runs on the coordinator: the leader, schedules, limits of logins, migrations. They stay plain tables there.
    v_at_home text[] := array[
        'leaders', 'migrations', 'queue_stats', 'schedules', 'schedule_fires', 'submit_limits',
        'circuit_breakers', 'rate_buckets'
    ];

    -- take the shard first and touch that shard alone: a call goes to the node where it lives
    v_delegated text[] := array[
        'abort_run', 'advance_fan', 'advance_run', 'begin_cached', 'cancel_run', 'change_steps', 'claim_attempts', 'claim_known', 'claim_leases', 'claim_steps',
        'claim_suspect', 'complete_leases', 'complete_steps', 'count_ended', 'count_runs', 'delete_correlations', 'delete_history', 'delete_log_rows',
        'delete_rows', 'delete_signals', 'drop_cached', 'drop_items', 'drop_undo', 'due_steps', 'end_closing', 'end_leases', 'end_rows', 'end_steps',
        'end_waits', 'exchange_leases', 'expire_runs', 'expire_steps', 'fill_cached', 'fill_run', 'fill_waiting', 'find_intents', 'find_lanes', 'find_live_intents',
        'find_loose_parts', 'find_new_lanes', 'find_next_in_line', 'find_parts', 'find_prunable', 'find_runs', 'find_unusual_intents', 'find_unusual_runs',
        'finish_leases', 'finish_mixed', 'finish_rest', 'finish_steps', 'fire_waits', 'first_error', 'hold_items', 'inherit_correlation', 'keep_correlation', 'keep_history', 'leaf_results',
        'leave_asked', 'leave_ended', 'leave_runner', 'list_intents', 'list_runs', 'lock_lanes', 'lock_limited', 'lock_runs',
        'mark_started', 'notify_waiters', 'promote', 'prune_audit', 'prune_batch', 'prune_kept', 'purge_cached', 'read_events', 'read_handed', 'reconcile', 'release_closing', 'release_hook',
        'release_parked', 'release_parked_step', 'release_unread', 'release_waiting', 'replace_intent', 'rescue', 'rescue_dead', 'run_state_now',
        'save_history', 'save_progress', 'settle_ended', 'settle_one', 'settle_steps', 'spend_room', 'start_over', 'steer_many',
        'stop_run', 'survey_lanes', 'survey_news', 'suspend_steps', 'take_cached', 'take_key', 'tell_waiters', 'undecide_steps', 'window_end', 'works_below',
        'write_changes', 'write_claims', 'write_decisions', 'write_expired', 'write_logs'
    ];
    -- take the shard first and look beyond it, for members of a group, the holder of a unique key, schedules: run where they are called
    v_beyond text[] := array[
        'enter_group', 'group_run', 'group_step', 'holds_group', 'leave_group', 'oust_member', 'promote_groups', 'release_member',
        'forget_unique', 'pass_unique', 'reseal_row', 'sealed_rows', 'take_unique'
    ];
    -- are given a row of a table by another function of the same node, never called from outside
    v_inner text[] := array[
        'begin_undo', 'begin_wait', 'continue_run', 'decide_step', 'end_child', 'expand_step', 'start_child'
    ];

    v_name text;
    v_loose text;
    v_function regprocedure;
begin
    select string_agg(found.name, ', ' order by found.name) into v_loose
    from (
        select c.relname as name from pg_class c
        where c.relnamespace = 'tributary'::regnamespace and c.relkind in ('r', 'p')
          and c.relname <> all (v_sharded || v_everywhere || v_counters || v_at_home)
        union
        select p.proname from pg_proc p
        where p.pronamespace = 'tributary'::regnamespace and p.proargnames[1] = 'p_shard'
          and p.proname <> all (v_delegated || v_beyond || v_inner)
    ) as found;
    if v_loose is not null then
        raise exception 'not named in this file: %', v_loose using hint = 'it is of another release than the schema';
    elsif tributary.shard_count() = 1 then
        raise warning 'the schema has one shard, so all of its rows go to one node' using hint = 'see docs/citus.md';
    end if;

    foreach v_name in array v_everywhere loop
        if not exists (select from pg_dist_partition d where d.logicalrelid = format('tributary.%I', v_name)::regclass) then
            perform create_reference_table(format('tributary.%I', v_name)::regclass);
        end if;
    end loop;
    foreach v_name in array v_sharded loop
        if not exists (select from pg_dist_partition d where d.logicalrelid = format('tributary.%I', v_name)::regclass) then
            perform create_distributed_table(format('tributary.%I', v_name)::regclass, 'shard',
                                             colocate_with := case when v_name = 'steps' then 'none' else 'tributary.steps' end);
        end if;
    end loop;
    foreach v_name in array v_counters loop
        if not exists (select from pg_dist_partition d where d.logicalrelid = format('tributary.%I', v_name)::regclass) then
            perform citus_add_local_table_to_metadata(format('tributary.%I', v_name)::regclass);
        end if;
    end loop;

    -- what a delegated function calls has to be there on its node, too; triggers belong to views, which stay on the coordinator
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_proc p
        where p.pronamespace = 'tributary'::regnamespace and p.prorettype <> 'trigger'::regtype
        order by p.proname, p.oid
    loop
        if v_name = any (v_delegated) then
            perform create_distributed_function(v_function, 'p_shard', colocate_with := 'tributary.steps');
        else
            perform create_distributed_function(v_function);
        end if;
    end loop;
end $citus$;
