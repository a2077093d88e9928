"""LISTEN on a connection of its own, with its own comeback."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store.db import connect

if TYPE_CHECKING:
    from tributary_daemon.store.db import Connection

WAKE: Final = "tributary_wake"
CANCEL: Final = "tributary_cancel"
COMMAND: Final = "tributary_command"
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 10.0


class Listener:
    """Receives wake-ups, cancels and commands. While it has no connection its owner polls.

    Args:
        url: direct, not through a pooler in transaction mode; None never listens.
        application_name: shown in pg_stat_activity.
    """

    def __init__(self, url: str | None, application_name: str) -> None:
        self._url = url
        self._application_name = application_name
        self._connection: Connection | None = None
        self._retry_at = 0.0
        self._wait = _FIRST_WAIT

    def fileno(self) -> int | None:
        """Return the socket to wait on; None without a connection."""
        return None if self._connection is None else self._connection.fileno()

    def ensure(self) -> bool:
        """Open the connection if it is missing and its pause is over; True when it was just opened.

        Whoever gets True has to look for work once: notifications were lost meanwhile.
        """
        if self._url is None or self._connection is not None or time.monotonic() < self._retry_at:
            return False
        try:
            connection = connect(self._url, application_name=self._application_name, connect_timeout=5)
            connection.execute(f"LISTEN {WAKE}")
            connection.execute(f"LISTEN {CANCEL}")
            connection.execute(f"LISTEN {COMMAND}")
        except (psycopg.Error, DatabaseUnreachable):
            self._pause()
            return False
        self._connection = connection
        self._wait = _FIRST_WAIT
        return True

    def receive(self) -> list[tuple[str, str]]:
        """Return what has come as (channel, payload); an empty list when the connection was lost."""
        if self._connection is None:
            return []
        try:
            return [(note.channel, note.payload) for note in self._connection.notifies(timeout=0)]
        except psycopg.Error:
            self.close()
            self._pause()
            return []

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pause(self) -> None:
        self._retry_at = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
