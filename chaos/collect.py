"""From the tables of a database, after everything, to a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from chaos.history import Attempt, Change, Edge, Effect, Event, Letter, Row, Run, Slot

if TYPE_CHECKING:
    from chaos.history import History

_QUERIES: dict[str, tuple[type[Any], str]] = {
    "rows": (
        Row,
        """
        select s.run_id::text, s.ordinal, s.kind::text, s.name, s.state::text, s.attempt, s.max_attempts,
               s.crashes, s.seq, s.step_id, s.item_key, s.queue, s.reason,
               case when jsonb_typeof(s.result) = 'object' then s.result ->> 'x' end as x,
               s.flags & (1 | 7680) <> 0 as optional, k.key as idempotency_key,
               extract(epoch from s.claimed_at)::float8 as claimed_at,
               extract(epoch from s.finished_at)::float8 as finished_at
        from tributary.steps s
        left join tributary.keys k on k.shard = s.shard and k.run_id = s.run_id and s.kind = 'intent'
        order by s.run_id, s.ordinal
        """,
    ),
    "runs": (
        Run,
        """
        select r.run_id::text, r.name, r.state::text, r.remaining, k.key as idempotency_key,
               r.parent_run_id::text
        from tributary.runs r left join tributary.keys k on k.shard = r.shard and k.run_id = r.run_id
        order by r.run_id
        """,
    ),
    "changes": (
        Change,
        """
        select number, run_id::text, ordinal, before, after, attempt, seq, seq_before, process_id
        from chaos.changes order by number
        """,
    ),
    "attempts": (
        Attempt,
        """
        select run_id::text, ordinal, seq, attempt, outcome, error ->> 'reason' as reason,
               extract(epoch from claimed_at)::float8 as claimed_at,
               extract(epoch from finished_at)::float8 as finished_at
        from tributary.attempts order by run_id, ordinal, seq
        """,
    ),
    "edges": (Edge, "select run_id::text, parent, child from tributary.edges order by run_id, parent, child"),
    "events": (
        Event,
        "select run_id::text, ordinal, attempt, type from tributary.event_log order by event_id",
    ),
    "letters": (Letter, "select run_id::text, ordinal, reason from tributary.dead_letters"),
    "effects": (Effect, "select run_id::text, ordinal, x from chaos.effects"),
    "slots": (
        Slot,
        """
        select 'limit of queue ' || k.queue as what, k.run_id || '/' || k.ordinal as owner, 'counts' as state
        from tributary.queue_slots k join tributary.steps s using (shard, run_id, ordinal)
        where s.state = 'running' and s.seq = k.seq
        union all
        select 'group ' || g.name, g.run_id || '/' || g.ordinal, g.state from tributary.group_slots g
        """,
    ),
}  # fmt: skip

_LIMITS = "select name, concurrency from tributary.queues where concurrency is not null"


def collect(url: str, history: History) -> None:
    """Read what the database holds into a history, in one snapshot."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("set transaction isolation level repeatable read")
        for name, (record, query) in _QUERIES.items():
            getattr(history, name).extend(record(**row) for row in connection.execute(query.encode()))
        for row in connection.execute(
            "select name, concurrency from tributary.queues where concurrency is not null"
        ):
            history.limits[row["name"]] = row["concurrency"]
