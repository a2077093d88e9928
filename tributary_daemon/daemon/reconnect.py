"""A connection that comes back: opened on demand, reopened with growing waits after a loss."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.store.db import connect

if TYPE_CHECKING:
    from tributary_daemon.store.db import Connection

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0


class Reconnect:
    """One connection and its comeback.

    Attributes:
        fresh: set whenever a new connection was opened; whoever has looked after it resets it.

    Args:
        url: of the database.
        application_name: shown in pg_stat_activity.
        prepare: whether statements may be prepared.
    """

    def __init__(self, url: str, application_name: str, *, prepare: bool = True) -> None:
        self._url = url
        self._application_name = application_name
        self._prepare = prepare
        self._connection: Connection | None = None
        self._failures = 0
        self._not_before = 0.0
        self.fresh = False

    def connection(self) -> Connection:
        """Return the open connection, opening one if need be; waits out the pause after a loss.

        Raises:
            DatabaseUnreachable: no connection.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        pause = self._not_before - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._connection = connect(
            self._url, application_name=self._application_name, prepare_threshold=3 if self._prepare else None
        )
        self._failures = 0
        self.fresh = True
        return self._connection

    def lost(self) -> None:
        """The connection failed: close it; the next one is opened after a pause that grows, jittered."""
        self.close()
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures) * random.uniform(0.8, 1.2)
        self._failures += 1
        self._not_before = time.monotonic() + wait

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            try:
                self._connection.close()
            except psycopg.Error:
                # it is broken already; closing was all that was left to do
                pass
            self._connection = None
