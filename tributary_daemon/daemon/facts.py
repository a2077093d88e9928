"""What leases need before they start, in batches: their surroundings, the histories of workflow functions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tributary_daemon.daemon.held import Replayed
from tributary_daemon.errors import EncryptionError
from tributary_daemon.model.control import Flag
from tributary_daemon.model.history import History
from tributary_daemon.model.states import Kind
from tributary_daemon.store import histories
from tributary_daemon.store.opener import unreadable_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.store.contexts import Contexts
    from tributary_daemon.store.db import Connection

_NONE = History()


def load_facts(contexts: Contexts, connection: Connection, wanting: Iterable[Held]) -> None:
    """Load what these leases want and have not yet."""
    by_shard: dict[int, list[Held]] = {}
    for held in wanting:
        if held.facts is None and held.replayed is None:
            by_shard.setdefault(held.shard, []).append(held)
    for shard, wanted in by_shard.items():
        _load_histories(contexts, connection, shard, [held for held in wanted if held.durable])
        steps = [held for held in wanted if held.kind == Kind.STEP and not held.durable]
        if steps:
            facts = contexts.load(
                connection, shard, steps, progress=any(held.reads_progress for held in steps)
            )
            for held in steps:
                held.facts = facts[held.run_id, held.ordinal]
                held.unreadable = unreadable_in(held.facts)
        for held in wanted:
            if held.kind == Kind.CLOSING:
                held.facts = contexts.load_closing(connection, shard, held.run_id)
                held.unreadable = unreadable_in(held.facts)


def _load_histories(
    contexts: Contexts, connection: Connection, shard: int, functions: Sequence[Held]
) -> None:
    if not functions:
        return
    # one that has never waited, failed, crashed or saved anything has none
    some = [held.run_id for held in functions if held.attempt > 1 or held.flags & Flag.EXPANDED]
    found, at = histories.load(connection, shard, some, contexts.keys)
    since = time.monotonic()
    for held in functions:
        history = found.get(held.run_id, _NONE)
        if isinstance(history, EncryptionError):
            held.unreadable, history = history, _NONE
        held.replayed = Replayed(history, at, since)
