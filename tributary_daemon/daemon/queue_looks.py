"""Looks at queues and tenants for who scrapes: by a thread and a connection of their own, not too often."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon.errors import TributaryError
from tributary_daemon.store import db
from tributary_daemon.store.samples import queue_samples
from tributary_daemon.store.tenants import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.store.samples import QueueSample
    from tributary_daemon.store.tenants import TenantRow

EVERY: Final = 10.0
"""Seconds between two looks, however often it is scraped."""
WITHIN: Final = 1.0
"""Seconds that a scrape waits for a look."""

_CONNECT: Final = 2.0
_SILENCE: Final = 3.0
_LIMITS: Final = {"statement_timeout": "2s", "lock_timeout": "1s"}


class QueueLooks:
    """Remembers the last look at queues and tenants.

    A look has a connection for itself, which is closed behind it: a session that waits for the next scrape
    would cost the server more. A scrape waits for a second; a look that takes longer is there for the next.

    Args:
        url: of the database.
        name: of the worker.
        look: how it looks; the queries of the store if omitted.
    """

    def __init__(
        self, url: str, name: str, look: Callable[[], Sequence[QueueSample | TenantRow]] | None = None
    ) -> None:
        self._url = url
        self._name = name
        self._look = look or self._ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._seen: tuple[float, Sequence[QueueSample | TenantRow]] | None = None

    def latest(self) -> tuple[float, Sequence[QueueSample | TenantRow]] | None:
        """Return the last look, and the seconds since it; None when the last one failed or there was none."""
        with self._lock:
            thread = self._thread
            running = thread is not None and thread.is_alive()
            if not running and (not self._began or time.monotonic() - self._began >= EVERY):
                self._began = time.monotonic()
                thread = self._thread = threading.Thread(target=self._run, name="queue-look", daemon=True)
                thread.start()
        if thread is not None:
            thread.join(WITHIN)
        seen = self._seen
        return None if seen is None else (time.monotonic() - seen[0], seen[1])

    def _run(self) -> None:
        try:
            found = self._look()
        except (TributaryError, psycopg.Error, OSError):
            # that the database is away is told by others
            self._seen = None
        else:
            self._seen = time.monotonic(), found

    def _ask(self) -> Sequence[QueueSample | TenantRow]:
        with db.connect(
            self._url, application_name=f"trib {self._name} metrics", connect_timeout=_CONNECT, limits=_LIMITS
        ) as connection:
            connection.silence = _SILENCE
            return [*db.run(connection, queue_samples()), *db.run(connection, declared())]
