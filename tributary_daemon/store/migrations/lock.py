"""One migration at a time: an advisory lock that no waiter holds a snapshot for."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.errors import DatabaseUnreachable, SchemaError
from tributary_daemon.store import db, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SESSION = "trib migrate lock"
"""Application name of the session that holds it, in a transaction that does nothing else."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5


class Held:
    """The lock while it is held."""

    def __init__(self, connection: db.Connection) -> None:
        self._connection = connection

    def verify(self) -> None:
        """Make sure that the lock's session still lives, before something is changed under it.

        Raises:
            DatabaseUnreachable: it does not; another process may hold the lock by now.
        """
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise DatabaseUnreachable(
                "the session that holds the migration lock was lost",
                hint="nothing further was changed; run the command again",
            ) from error


@contextmanager
def migration_lock(url: str, name: str, *, timeout: float, waiting: Callable[[], None]) -> Iterator[Held]:
    """Hold the lock ``name`` of this database.

    It is a transaction-level lock on a connection of its own, tried and tried again, each try ending
    its transaction: a session-level lock means nothing behind a pooler, and a waiter blocked inside
    pg_advisory_lock keeps a snapshot for which CREATE INDEX CONCURRENTLY would wait for ever.

    Args:
        url: database.
        name: what is locked, e.g. ``tributary.migrations``.
        timeout: seconds to try.
        waiting: called once if somebody else holds it.

    Raises:
        SchemaError: not free within ``timeout``.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    with db.connect(url, application_name=SESSION, autocommit=False) as connection:
        while not _try(connection, key):
            if pause == _FIRST_PAUSE:
                waiting()
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"another migration has been running for {timeout:.0f} s",
                    hint="look for 'trib migrate' in pg_stat_activity; `trib migrate status` tells its place",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        try:
            yield Held(connection)
        finally:
            # of a session that was lost nothing is held; what went wrong before is what matters
            with suppress(psycopg.Error):
                connection.rollback()


def _try(connection: db.Connection, key: int) -> bool:
    try:
        # the holder idles in its transaction while migrations run on the other connection
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        # no parameters: an extended-protocol statement would leave a portal, which holds a snapshot
        row = connection.execute(f"SELECT pg_try_advisory_xact_lock({key})".encode()).fetchone()
        if row is not None and row[0]:
            return True
        connection.rollback()
    except psycopg.Error as error:
        raise faults.translate(error) from error
    return False
