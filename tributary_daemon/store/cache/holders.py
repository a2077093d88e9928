"""Whether whoever makes a result is still at it: leases are rows of PostgreSQL, wherever the cache is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.model.ids import slot_of
from tributary_daemon.store.db import query

if TYPE_CHECKING:
    from tributary_daemon.model.caching import Holder
    from tributary_daemon.store.db import Connection


def lives(connection: Connection, shards: int, holder: Holder) -> bool:
    """Return whether an attempt runs under this lease, or has just completed: its result may come yet."""
    shard = slot_of(holder.run_id) % shards
    row = connection.execute(query("cache_holder"), {**holder._asdict(), "shard": shard}).fetchone()
    return bool(row and row[0])
