"""What kind of pooler stands between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store.db import connect

if TYPE_CHECKING:
    from tributary_daemon.store.watched import Watched

_PID = "select pg_backend_pid()"
_TRIES = 5


def shares_servers(connection: Watched, url: str) -> bool:
    """Return whether a pooler lets clients share a server connection: transaction or statement mode.

    While this client is at rest, a second one holds a transaction. Either it was given the first one's server
    connection, or the first one is given another than before; unless others have been given both in between,
    so it is tried more than once. Where each client has a server connection of its own, that never happens.

    Args:
        connection: pooled, autocommit.
        url: of the same pooler.
    """
    try:
        for _ in range(_TRIES):
            before = connection.execute(_PID).fetchone()
            with connect(url, application_name="trib doctor", autocommit=False) as other:
                held = other.execute(_PID).fetchone()
                if held == before or connection.execute(_PID).fetchone() != before:
                    return True
    except (psycopg.Error, DatabaseUnreachable):
        # a pool of one, or one that is busy: the second client waited for its turn
        return True
    return False
