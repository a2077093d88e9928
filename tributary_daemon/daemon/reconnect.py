"""A connection that comes back: opened on demand, reopened with growing waits after a loss."""

from __future__ import annotations

import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon.errors import DatabaseError, DatabaseUnreachable, SchemaError
from tributary_daemon.store import faults, session
from tributary_daemon.store.db import connect
from tributary_daemon.store.watched import SILENCE

if TYPE_CHECKING:
    from tributary_daemon.daemon.outage import Outage
    from tributary_daemon.store.db import Connection

LOST: Final[tuple[type[Exception], ...]] = (
    psycopg.OperationalError, psycopg.InternalError, *faults.UNUSABLE, DatabaseUnreachable, SchemaError,
)  # fmt: skip
"""What a lost connection raises; InternalError: the server became read-only under it.

Statements that were cut by a limit (of locks, of time) and deadlocks are among them, and those that met a
full disk, a missing schema or a missing right: they were rolled back, and a new connection repeats them.
"""

TROUBLE: Final = (psycopg.Error, DatabaseError)
"""All that a database may say to a supervisor, whose statements are never at fault for what they hold: it
goes on as after a loss, so that its processes and their steps live on.
"""

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_RANDOM: Final = Random()  # noqa: S311 - jitter, not secrets


class Reconnect:
    """One connection and its comeback.

    Attributes:
        fresh: set whenever a new connection was opened; whoever has looked after it resets it.
        opened: connections so far.

    Args:
        url: of the database.
        application_name: shown in pg_stat_activity.
        prepare: whether statements may be prepared; never through a pooler.
        silence: seconds without a word from the server after which a call is given up as lost.
        outage: told of losses and successes; None where nobody is to hear of them.
    """

    def __init__(
        self, url: str, application_name: str, *, prepare: bool = True, silence: float = SILENCE,
        outage: Outage | None = None,
    ) -> None:  # fmt: skip
        self._url = url
        self._outage = outage
        self._application_name = application_name
        self._prepare = prepare
        self._silence = silence
        self._connection: Connection | None = None
        self._failures = 0
        self._not_before = 0.0
        self._opened_at = 0.0
        self.fresh = False
        self.opened = 0

    @property
    def outages(self) -> int:
        """How many outages have begun so far."""
        return 0 if self._outage is None else self._outage.begun

    @property
    def trouble(self) -> str | None:
        """Why the database does not serve; None while all is well."""
        trouble = None if self._outage is None else self._outage.trouble
        return None if trouble is None else trouble.message

    @property
    def pause(self) -> float:
        """Seconds until the next try after a loss; 0 when there is nothing to wait for."""
        return max(0.0, self._not_before - time.monotonic()) if self._connection is None else 0.0

    def connection(self) -> Connection:
        """Return the open connection, opening one if need be. It never sleeps: its owners have more to do.

        Raises:
            DatabaseUnreachable: no connection, or the pause after a loss is not over.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self.pause > 0:
            raise DatabaseUnreachable("the database was lost a moment ago; it is tried again soon")
        connection = connect(
            self._url,
            application_name=self._application_name,
            prepare_threshold=3 if self._prepare else None,
            limits=session.OWN,
        )
        connection.silence = self._silence
        self._connection = connection
        self._opened_at = time.monotonic()
        self.fresh = True
        self.opened += 1
        return self._connection

    def served(self) -> None:
        """What was asked of the database has been done."""
        if self._outage is not None and self._connection is not None:
            self._outage.served()

    def lost(self, error: Exception) -> bool:
        """The connection failed: close it; the next one is opened after a pause that grows, jittered.

        Returns:
            False during such a pause, when there is nothing new to tell.
        """
        if self.pause > 0:
            return False
        if self._outage is not None:
            self._outage.failed(error)
        # one that was opened but served no statement is no success: the pauses go on growing
        if self._connection is not None and time.monotonic() - self._opened_at > _LONGEST_WAIT:
            self._failures = 0
        self.close()
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._failures, 10)) * _RANDOM.uniform(0.8, 1.2)
        self._failures += 1
        self._not_before = time.monotonic() + wait
        return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            # it may be broken already; closing was all that was left to do
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
