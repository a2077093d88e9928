"""What the tests of pruning share: sweeps, and what is left of work."""

from __future__ import annotations

from typing import NamedTuple

from tests.store import protocol_kit as kit
from tributary_daemon.store import db, pruning

TABLES = (
    "runs",
    "steps",
    "payloads",
    "edges",
    "keys",
    "attempts",
    "event_log",
    "dead_letters",
    "progress",
    "log_chunks",
    "signals",
    "history",
    "correlations",
)
DAY = 86_400.0
MONTH = pruning.Retention(keep=30 * DAY)


class Swept(NamedTuple):
    """What a sweep removed, and how large its batches were."""

    runs: int
    intents: int
    batches: int


def sweep(connection, retention=MONTH, *, limit=1_000, act=pruning.prune):
    """Sweep all shards with windows of ``limit`` steps."""
    runs = intents = batches = 0
    for shard in kit.shards(connection):
        place = pruning.START
        while place is not None:
            batch = db.run(connection, act(shard, retention, place, limit))
            runs, intents, batches = runs + batch.runs, intents + batch.intents, batches + 1
            place = batch.next
    return Swept(runs, intents, batches)


def left(connection, *ids):
    """Return {table: rows} of what is left of work, of all work without ids."""
    found = {}
    for table in TABLES:
        sql = f"select count(*) from tributary.{table}"
        count = (
            kit.scalar(connection, f"{sql} where run_id = any (%s)", list(ids))
            if ids
            else (kit.scalar(connection, sql))
        )
        if count:
            found[table] = count
    return found
