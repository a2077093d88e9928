"""A transaction that gives way: workers go on while it waits for the locks of tables that they use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.store import db

# Whoever asks for a lock on a table stands behind who waits for a stronger one. And below deadlock_timeout,
# 1 s unless configured, so that of two that wait for each other it is always the migration that gives way.
_LONGEST_WAIT = "SET LOCAL lock_timeout = '500ms'"
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0


def giving_way(
    connection: db.Connection, work: Callable[[], object], *, patience: float, waiting: Callable[[], None]
) -> None:
    """Run ``work`` in a transaction, and again from its beginning whenever a lock is not to be had soon.

    Args:
        connection: autocommit.
        work: executes statements on it, and does nothing else.
        patience: seconds to go on trying.
        waiting: called once, after the first try in vain.

    Raises:
        SchemaError: somebody held a lock all the time.
    """
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            with connection.transaction():
                connection.execute(_LONGEST_WAIT)
                work()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if pause == _FIRST_PAUSE:
                waiting()
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"a table was in use for {patience:.0f} s without a pause: {error.diag.message_primary}",
                    hint="look for transactions that last, in pg_stat_activity; what was done before stays,"
                    " and the command can be run again",
                ) from error
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        else:
            return
