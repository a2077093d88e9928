# ruff: noqa: E501 - reasons
"""What breaks the shard rule, and why: each finding of tests/guards/test_shard_rule.py, as often as it is there.

A place is the name of a function, query:NAME for a file of sql/queries, python:FILE for one of tributary_daemon/store.
"""

from __future__ import annotations

EXCEPTIONS: dict[str, dict[str, dict[str, int]]] = {
    "Groups are counted over all shards, and their members written by ctid, which on several nodes means a row in each shard: no groups there.": {
        "enter_group": {"group_slots of any shard": 3},
        "free_group": {"group_slots of any shard": 2, "runs of any shard": 1, "steps of any shard": 1},
        "leave_group": {
            "group_slots of any shard": 1,
            "steps of any shard": 1,
            "wake(), which touches tables, beside tables of shards": 1,
        },
        "oust_members": {"group_slots of any shard": 5},
        "promote_group": {"group_slots of any shard": 3},
    },
    "Slots of limited queues are counted over all shards and taken away by ctid: as for groups.": {
        "queue_held": {"queue_slots of any shard": 1, "steps of any shard": 1},
        "queue_room": {
            "stores queue_slots of any shard": 1,
            "steps of any shard": 2,
            "queue_slots of any shard": 4,
        },
        "set_queue": {"queue_slots of any shard": 1},
        "set_tenant": {"queue_slots of any shard": 1},
    },
    "What holds a unique key may live in another shard than the key, as an idempotency key chose its id; and forgotten keys go by ctid alone, for an index of the shard would tempt the planner.": {
        "forget_unique": {
            "runs of any shard": 1,
            "steps of any shard": 1,
            "stable shard_of() in CASE or COALESCE": 1,
            "unique_keys of any shard": 1,
        },
        "take_unique": {"runs of any shard": 1, "steps of any shard": 1},
    },
    "Clients wait for work of many shards, and register, leave and are swept with one statement.": {
        "await_ends": {
            "stores awaited of any shard": 1,
            "awaited of any shard": 1,
            "stable shard_of() of columns where it writes": 1,
        },
        "leave_waiters": {"awaited of any shard": 1},
        "sweep_waiters": {"awaited of any shard": 1},
    },
    "Asks all shards in one statement, for the leader, the supervisor or a reader: more work on several nodes, but the same answer.": {
        "attend": {"group_slots of any shard": 1},
        "attend_work": {"runs of any shard": 1},
        "claim": {"steps of any shard": 1},
        "find_correlated": {"correlations of any shard": 3},
        "find_ended": {"runs of any shard": 1, "steps of any shard": 1},
        "kept_from": {"runs of any shard": 1},
        "sample_queues": {"steps of any shard": 4, "group_slots of any shard": 1},
        "schedule_works": {"runs of any shard": 1, "steps of any shard": 1},
        "supervise": {"steps of any shard": 2, "waits of any shard": 1},
        "survey_shards": {
            "steps of any shard": 5,
            "waits of any shard": 1,
            "group_slots of any shard": 1,
            "queue_opens(), which touches tables, beside tables of shards": 1,
        },
        "tidy_fleet": {"runs of any shard": 1, "steps of any shard": 1},
        "trim_fires": {"runs of any shard": 1, "steps of any shard": 1},
        "wake_freed": {
            "steps of any shard": 1,
            "queue_opens(), which touches tables, beside tables of shards": 1,
            "wake(), which touches tables, beside tables of shards": 1,
        },
        "query:cache_stats": {"step_cache of any shard": 1},
        "query:dead_letters": {"steps of any shard": 1, "dead_letters of any shard": 1},
        "query:erring_ids": {"attempts of any shard": 1, "runs of any shard": 1},
        "query:events": {"reads the view events": 1},
        "query:events_of_all": {
            "correlations of any shard": 1,
            "read_events(), which touches tables, beside tables of shards": 1,
        },
        "query:list_these": {
            "runs of any shard": 1,
            "steps of any shard": 1,
            "volatile clock() in CASE or COALESCE": 1,
            "stable shard_of() in CASE or COALESCE": 1,
            "list_intents(), which touches tables, beside tables of shards": 1,
            "list_runs(), which touches tables, beside tables of shards": 1,
        },
        "query:fleet_facts": {"steps of any shard": 5},
        "query:queue_samples": {"dead_letters of any shard": 1},
        "query:list": {
            "runs of any shard": 1,
            "steps of any shard": 1,
            "volatile clock() in CASE or COALESCE": 1,
            "volatile clock_timestamp() in CASE or COALESCE": 1,
            "stable shard_of() in CASE or COALESCE": 1,
            "list_intents(), which touches tables, beside tables of shards": 1,
            "list_runs(), which touches tables, beside tables of shards": 1,
        },
        "query:matching_ids": {"runs of any shard": 1, "steps of any shard": 1},
        "query:roots": {"runs of any shard": 1},
        "query:queues": {
            "steps of any shard": 4,
            "queue_opens(), which touches tables, beside tables of shards": 1,
        },
        "query:schedule_fires": {
            "runs of any shard": 1,
            "steps of any shard": 1,
            "stable run_state_now() in CASE or COALESCE": 1,
            "run_state_now(), which touches tables, beside tables of shards": 1,
        },
        "query:standing": {
            "group_slots of any shard": 2,
            "runs of any shard": 1,
            "steps of any shard": 1,
            "stable jsonb_agg() in CASE or COALESCE": 1,
            "stable jsonb_build_object() in CASE or COALESCE": 1,
        },
        "query:whose": {"stable shard_of() in CASE or COALESCE": 1},
        "query:tenants": {
            "steps of any shard": 4,
            "volatile clock_timestamp() in CASE or COALESCE": 1,
            "volatile queue_opens() in CASE or COALESCE": 1,
            "find_lanes(), which touches tables, beside tables of shards": 1,
            "queue_opens(), which touches tables, beside tables of shards": 1,
        },
        "query:workers": {
            "steps of any shard": 1,
            "served_shards(), which touches tables, beside tables of shards": 1,
            "volatile served_shards() in CASE or COALESCE": 1,
        },
        "workflow_intent_insert": {"reads the view workflow_intent": 1},
    },
    "The shard comes out of a subselect that names it.": {
        "query:run_items": {"payloads of any shard": 1, "attempts of any shard": 1, "runs of any shard": 1},
        "python:context_queries.py": {
            "payloads of any shard": 2,
            "steps of any shard": 1,
            "stable jsonb_build_object() in CASE or COALESCE": 1,
        },
        "python:histories.py": {"runs of any shard": 1, "attempts of any shard": 1},
    },
    "A function that touches tables stands beside a table of shards. Citus refuses that where the statement goes to a shard as a whole; statements of their own would cost every claim and finish.": {
        "claim_known": {"write_claims(), which touches tables, beside tables of shards": 1},
        "claim_suspect": {"queue_opens(), which touches tables, beside tables of shards": 1},
        "decide_step": {
            "fill_run(), which touches tables, beside tables of shards": 1,
            "wake(), which touches tables, beside tables of shards": 1,
        },
        "exchange_leases": {"read_handed(), which touches tables, beside tables of shards": 1},
        "fill_waiting": {
            "fill_run(), which touches tables, beside tables of shards": 1,
            "wake(), which touches tables, beside tables of shards": 1,
        },
        "find_prunable": {"works_below(), which touches tables, beside tables of shards": 1},
        "finish": {"wake_freed(), which touches tables, beside tables of shards": 1},
        "finish_mixed": {"lock_groups(), which touches tables, beside tables of shards": 1},
        "leave_ended": {"leave_group(), which touches tables, beside tables of shards": 1},
        "list_intents": {
            "find_intents(), which touches tables, beside tables of shards": 1,
            "find_live_intents(), which touches tables, beside tables of shards": 1,
            "find_unusual_intents(), which touches tables, beside tables of shards": 1,
        },
        "list_runs": {
            "find_runs(), which touches tables, beside tables of shards": 1,
            "find_unusual_runs(), which touches tables, beside tables of shards": 1,
            "run_state_now(), which touches tables, beside tables of shards": 1,
        },
        "prune_batch": {"works_below(), which touches tables, beside tables of shards": 1},
        "prune_kept": {"works_below(), which touches tables, beside tables of shards": 2},
        "retry_work": {
            "drop_items(), which touches tables, beside tables of shards": 2,
            "undecide_steps(), which touches tables, beside tables of shards": 1,
            "hold_items(), which touches tables, beside tables of shards": 1,
        },
        "settle_steps": {
            "stable due_at() in CASE or COALESCE": 1,
            "write_decisions(), which touches tables, beside tables of shards": 1,
        },
        "steer_many": {"lock_groups(), which touches tables, beside tables of shards": 1},
        "query:run": {"run_state_now(), which touches tables, beside tables of shards": 1},
        "query:why": {
            "volatile queue_opens() in CASE or COALESCE": 1,
            "queue_opens(), which touches tables, beside tables of shards": 1,
        },
        "run_state_now": {"volatile clock() in CASE or COALESCE": 1},
    },
    "One statement updates, tells workers by what it returns, and is all that a file of sql/queries may hold; Citus refuses the call in RETURNING.": {
        "query:resume_queue": {"volatile wake() in RETURNING": 1},
    },
    "Stable only because of the types that it might be given, or of the session's zone that a text of run_after is read in; Citus refuses it in UPDATE and DELETE.": {
        "change_steps": {"stable jsonb_build_object() of columns where it writes": 1},
        "expand_step": {"stable jsonb_build_object() in CASE or COALESCE": 1},
        "fire_waits": {
            "stable format() in CASE or COALESCE": 1,
            "stable jsonb_build_object() in CASE or COALESCE": 1,
        },
        "hold_items": {"stable jsonb_build_object() of columns where it writes": 1},
        "leaf_results": {"stable jsonb_object_agg() in CASE or COALESCE": 1},
        "record_run": {
            "stable due_at() in CASE or COALESCE": 1,
            "stable jsonb_build_object() in CASE or COALESCE": 1,
            "stable jsonb_object_agg() in CASE or COALESCE": 1,
        },
        "release_hook": {"stable due_at() in CASE or COALESCE": 1},
        "release_waiting": {"stable jsonb_object_agg() in CASE or COALESCE": 1},
        "undecide_steps": {"stable jsonb_object_agg() in CASE or COALESCE": 1},
    },
}
