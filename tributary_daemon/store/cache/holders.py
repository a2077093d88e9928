"""Whether whoever makes a result is still at it: leases are rows of PostgreSQL, wherever the cache is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.model.ids import slot_of
from tributary_daemon.store.db import query

if TYPE_CHECKING:
    from tributary_daemon.model.caching import Holder
    from tributary_daemon.store.db import Connection


def lives(connection: Connection, shards: int, holder: Holder) -> bool:
    """Return whether a result may come yet: an attempt runs under this lease, or has just completed.

    Or it has started a child run, which is at work, or whose result the step is about to keep.
    """
    given = {**holder._asdict(), "shard": slot_of(holder.run_id) % shards}
    row = connection.execute(query("cache_holder"), given).fetchone()
    return bool(row and row[0])


def is_above(connection: Connection, shards: int, holder: Holder, asks: Holder) -> bool:
    """Return whether who makes a result waits for the run that asks for it, or for one above that."""
    given = {
        "shard": slot_of(asks.run_id) % shards,
        "asks": asks.run_id,
        "run_id": holder.run_id,
        "ordinal": holder.ordinal,
    }
    row = connection.execute(query("cache_above"), given).fetchone()
    return bool(row and row[0])
