"""What is said of a database that does not serve: once when it begins, once when it is over."""

from __future__ import annotations

import time
from typing import Final

from tributary_daemon import events
from tributary_daemon.store import faults

CALM: Final = 3.0
"""Seconds without another failure after which an outage is over: longer than from one beat to the next."""


class Outage:
    """Tells of the outages of one process. However often it tries, each reason is told once per outage.

    A database that lets a process in and then refuses its statements (a full disk, a missing right) has not
    come back: an outage ends when nothing has failed for a while. Its length is counted to the first
    success.

    Attributes:
        trouble: what is wrong now; None while all is well.
        begun: outages so far.

    Args:
        process: whose it is.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._told: set[str] = set()
        self._since = 0.0
        self._served_at: float | None = None
        self._times = 0
        self.trouble: faults.Trouble | None = None
        self.begun = 0

    def failed(self, error: Exception) -> None:
        """It was tried in vain."""
        trouble = faults.trouble(error)
        if self.trouble is None:
            self.begun += 1
            self._since, self._times = time.monotonic(), 0
            self._told.clear()
        self._times += 1
        self._served_at = None
        self.trouble = trouble
        if trouble.kind not in self._told:
            self._told.add(trouble.kind)
            events.emit(events.DatabaseLost(process=self._process, error=trouble.message, hint=trouble.hint))

    def served(self) -> None:
        """What was asked of it has been done."""
        if self.trouble is None:
            return
        now = time.monotonic()
        if self._served_at is None:
            self._served_at = now
        elif now - self._served_at >= CALM:
            self.trouble = None
            away = round(self._served_at - self._since, 3)
            events.emit(events.DatabaseBack(process=self._process, seconds=away, times=self._times))
