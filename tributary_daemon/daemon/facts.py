"""What leases need before they start, in batches: their surroundings, the histories of workflow functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.model.states import Kind
from tributary_daemon.store import histories

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.store.contexts import Contexts
    from tributary_daemon.store.db import Connection


def load_facts(contexts: Contexts, connection: Connection, wanting: Iterable[Held]) -> None:
    """Load what these leases want and have not yet."""
    by_shard: dict[int, list[Held]] = {}
    for held in wanting:
        if held.facts is None and held.history is None:
            by_shard.setdefault(held.shard, []).append(held)
    for shard, wanted in by_shard.items():
        functions = [held for held in wanted if held.durable]
        found = histories.load(connection, shard, [held.run_id for held in functions])
        for held in functions:
            held.history = found[held.run_id]
        steps = [held for held in wanted if held.kind == Kind.STEP and not held.durable]
        if steps:
            facts = contexts.load(
                connection, shard, steps, progress=any(held.reads_progress for held in steps)
            )
            for held in steps:
                held.facts = facts[held.run_id, held.ordinal]
        for held in wanted:
            if held.kind == Kind.CLOSING:
                held.facts = contexts.load_closing(connection, shard, held.run_id)
