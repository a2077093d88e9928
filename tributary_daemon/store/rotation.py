"""Sealing anew what an old key has sealed: windows over every table that holds values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES: Final = (
    "steps", "payloads", "runs", "attempts", "dead_letters", "progress", "history", "event_log", "signals",
    "waits", "log_chunks", "step_cache", "schedules",
)  # fmt: skip
"""Tables whose values may be sealed, as SQL's ``sealed_rows`` knows them."""


class Visited(NamedTuple):
    """A row: its key, and what of it may be sealed (None: nothing there); ``busy``: a process is at it."""

    at: list[str]
    value: str | None
    busy: bool


class Anew(NamedTuple):
    """What is to stand in the place of what."""

    at: list[str]
    old: Any
    new: Any


def window(
    shard: int, source: str, after: Sequence[str] | None, limit: int, pattern: str
) -> Operation[list[Visited]]:
    """Read the rows behind a key; fewer than ``limit`` are the last."""
    given = {"shard": shard, "source": source, "limit": limit, "pattern": pattern}
    rows = yield Query(query("sealed_rows"), {**given, "after": None if after is None else list(after)})
    return [Visited(*row) for row in rows]


def write(shard: int, source: str, items: Sequence[Anew]) -> Operation[int]:
    """Write values in one transaction; return how many stood there still."""
    given = json.dumps([item._asdict() for item in items])
    rows = yield Query(query("reseal_rows"), {"shard": shard, "source": source, "items": given})
    return sum(bool(row[1]) for row in rows)
