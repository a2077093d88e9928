"""Connections beside the work of a process, for short operations of many threads: a few stay open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store import db, session
from tributary_daemon.store.watched import SILENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.watched import Watched

T = TypeVar("T")
_KEPT: Final = 4
_NAME: Final = "trib hooks"
_PREPARED_AFTER: Final = 3


class Side:
    """Runs operations, each in transactions of their own. For any thread.

    Args:
        url: returns where the database is; a connection to elsewhere is replaced.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._idle: list[tuple[str, Watched]] = []

    def run(self, make: Callable[[], Operation[T]]) -> T:
        """Run an operation; once more on a new connection where a kept one turns out to be gone.

        Raises:
            DatabaseError: see `DatabaseError`.
        """
        url = self._url()
        kept = self._take(url)
        if kept is not None:
            try:
                return self._run(url, kept, make)
            except DatabaseUnreachable:
                # cut while nobody used it, maybe
                pass
        return self._run(url, self._connect(url), make)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            kept, self._idle = self._idle, []
        for _, connection in kept:
            connection.close()

    def _take(self, url: str) -> Watched | None:
        stale = []
        found = None
        with self._lock:
            while self._idle and found is None:
                at, connection = self._idle.pop()
                if at == url and not connection.closed:
                    found = connection
                else:
                    stale.append(connection)
        for connection in stale:
            connection.close()
        return found

    def _connect(self, url: str) -> Watched:
        connection = db.connect(
            url, application_name=_NAME, prepare_threshold=_PREPARED_AFTER, limits=session.OWN
        )
        connection.silence = SILENCE
        return connection

    def _run(self, url: str, connection: Watched, make: Callable[[], Operation[T]]) -> T:
        try:
            result = db.run(connection, make())
        except BaseException:
            # refused, cut, or interrupted in the midst of it: nobody knows what it would answer next
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append((url, connection))
                return result
        connection.close()
        return result
