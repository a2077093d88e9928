"""What is stored and refers to something elsewhere: windows over every table that holds values."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.sealing.envelope import RESERVED, split
from tributary_daemon.sealing.ring import missing
from tributary_daemon.store import rotation
from tributary_daemon.store.db import query, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection

_TOKEN: Final = re.compile(r"\$sealed(?:[\\\"]+:\s*[\\\"]+|\{)([A-Za-z0-9._+/=-]+)")
_TARGET: Final = 0.05
_FEWEST, _MOST, _FIRST = 20, 2_000, 200


def sees_all(connection: Connection) -> bool:
    """Return whether a connection sees the values of all tenants."""
    row = connection.execute(query("sees_all")).fetchone()
    return bool(row and row[0])


def texts(connection: Connection, shards: int, mark: str, ring: Ring | None) -> Iterator[str]:
    """Yield what is stored and holds a mark, in the clear, as text.

    Args:
        connection: in autocommit mode, each window is a transaction of its own; it sees all tenants.
        shards: number of shards.
        mark: a word without a meaning in regular expressions but ``$``.
        ring: opens what is encrypted.

    Raises:
        KeyMissing: something is encrypted with a key that is not here.
        NotAuthentic: something cannot be opened.
    """
    pattern = "|".join(re.escape(word) for word in (mark, RESERVED))
    for source in rotation.SOURCES:
        for shard in range(shards):
            for text in _rows(connection, shard, source, pattern):
                if mark in text:
                    yield text
                for token in _TOKEN.findall(text):
                    if ring is None:
                        raise missing(split(token).key)
                    opened = ring.open(token).text
                    if mark in opened:
                        yield opened


def _rows(connection: Connection, shard: int, source: str, pattern: str) -> Iterator[str]:
    after: list[str] | None = None
    size = float(_FIRST)
    while True:
        limit = round(size)
        began = time.monotonic()
        rows = run(connection, rotation.window(shard, source, after, limit, pattern))
        took = max(time.monotonic() - began, 1e-6)
        size = min(max(size * min(max(_TARGET / took, 0.25), 2.0), _FEWEST), _MOST)
        yield from (row.value for row in rows if row.value is not None)
        if len(rows) < limit:
            return
        after = rows[-1].at
