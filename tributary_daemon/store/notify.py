"""LISTEN on a connection of its own, with its own comeback and a test of whether anything still arrives."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon import events
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store import session
from tributary_daemon.store.db import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.watched import Watched

WAKE: Final = "tributary_wake"
CANCEL: Final = "tributary_cancel"
COMMAND: Final = "tributary_command"
_PROBE: Final = "tributary_probe"
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 10.0
_SILENCE: Final = 5.0
_NOTIFY: Final = "select pg_notify(%s, '')"


class Listener:
    """Receives notifications: wake-ups, cancels and commands. While it has no connection its owner polls.

    A connection that only waits does not notice that nothing can arrive any more. So after a while without
    a notification it has one sent, over another connection, and starts anew when that is lost. All listeners
    hear it: the server takes every notification to each of them anyhow, so one of them asks for all.

    Args:
        url: direct, not through a pooler, which loses notifications: with one it gives up for good and says
            so. None never listens.
        application_name: shown in pg_stat_activity.
        channels: what it listens to.
        quiet: seconds without a notification after which `probe` asks for one.
        patience: seconds that this one may take.
    """

    def __init__(
        self,
        url: str | None,
        application_name: str,
        *,
        channels: Sequence[str] = (WAKE, CANCEL, COMMAND),
        quiet: float = 10.0,
        patience: float = 5.0,
    ) -> None:
        self._url = url
        self._application_name = application_name
        self._channels = channels
        self._failure: str | None = None
        self._quiet = quiet
        self._patience = patience
        self._connection: Watched | None = None
        self._retry_at = 0.0
        self._wait = _FIRST_WAIT
        self._heard_at = 0.0
        self._asked_at: float | None = None

    @property
    def listening(self) -> bool:
        """Whether notifications arrive, as far as is known."""
        return self._connection is not None

    @property
    def is_hopeless(self) -> bool:
        """Whether there is nothing to listen to: no URL, or a pooler behind it."""
        return self._url is None

    @property
    def failure(self) -> str | None:
        """Why the last try to open the connection failed; None when it did not."""
        return self._failure

    def fileno(self) -> int | None:
        """Return the socket to wait on; None without a connection."""
        return None if self._connection is None else self._connection.fileno()

    def ensure(self) -> bool:
        """Open the connection if it is missing and its pause is over; True when it was just opened.

        One that owes an answer to `probe` for too long counts as missing. Whoever gets True has to look for
        work once: notifications were lost meanwhile.
        """
        if self._is_deaf():
            events.emit(events.ListenSilent(name=self._application_name, silent=self._silent_for()))
            self._drop()
        if self._url is None or self._connection is not None or time.monotonic() < self._retry_at:
            return False
        try:
            self._connection = self._open(self._url)
            self._failure = None
        except (psycopg.Error, DatabaseUnreachable) as error:
            self._failure = str(error)
            self._drop()
        return self._connection is not None

    def probe(self, connection: Connection) -> None:
        """Send a notification to all listeners over ``connection``, if none has come for a while.

        It does not wait for the answer; `receive` takes it.
        """
        if (channel := self.question()) is not None:
            connection.execute(_NOTIFY, (channel,))

    def question(self) -> str | None:
        """Return the channel on which the caller has to send an empty notification; None if some came lately.

        From now on this listener expects it.
        """
        if (
            self._connection is None
            or self._asked_at is not None
            or time.monotonic() - self._heard_at < self._quiet
        ):
            return None
        self._asked_at = time.monotonic()
        return _PROBE

    def receive(self) -> list[tuple[str, str]]:
        """Return what has come as (channel, payload); an empty list when the connection was lost."""
        if self._connection is None:
            return []
        try:
            notes = [(note.channel, note.payload) for note in self._connection.notifies(timeout=0)]
        except psycopg.Error:
            self._drop()
            return []
        if notes:
            self._heard_at, self._asked_at = time.monotonic(), None
        return [note for note in notes if note[0] != _PROBE]

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, url: str) -> Watched | None:
        connection = connect(
            url, application_name=self._application_name, connect_timeout=_SILENCE, limits=session.OWN
        )
        if connection.pooled:
            connection.close()
            self._url = None
            events.emit(events.ListenPooled(name=self._application_name))
            return None
        connection.silence = _SILENCE
        try:
            for channel in (*self._channels, _PROBE):
                connection.execute(f"LISTEN {channel}".encode())
        except BaseException:
            connection.close()
            raise
        self._wait = _FIRST_WAIT
        self._heard_at, self._asked_at = time.monotonic(), None
        return connection

    def _is_deaf(self) -> bool:
        if self._connection is None or self._asked_at is None or self._silent_for() <= self._patience:
            return False
        # its owner may have been busy: what has come and was not read yet is an answer
        poller = select.poll()
        poller.register(self._connection.fileno(), select.POLLIN)
        return not poller.poll(0)

    def _silent_for(self) -> float:
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at

    def _drop(self) -> None:
        """Close the connection; the next try comes after a pause that grows."""
        self.close()
        self._asked_at = None
        self._retry_at = time.monotonic() + self._wait
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
