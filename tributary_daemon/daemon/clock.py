"""The database's clock as a supervisor sees it: compared with this machine's monotonic one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

_JUMP: Final = 2.0


class DatabaseClock:
    """Knows the database's time between two beats, and notices when it jumps."""

    def __init__(self) -> None:
        self._now: datetime | None = None
        self._at = 0.0

    def jumped(self, now: datetime) -> bool:
        """Take the database's time; return whether it is not where it should be, by more than 2 s.

        The time that a beat takes to answer is in both clocks, so only a change of one of them shows.
        """
        at = time.monotonic()
        before, since = self._now, at - self._at
        self._now, self._at = now, at
        return before is not None and abs((now - before).total_seconds() - since) > _JUMP

    def time_of(self, monotonic: float) -> datetime | None:
        """Return the database's time at a monotonic time of this machine; None before the first beat."""
        return None if self._now is None else self._now + timedelta(seconds=monotonic - self._at)

    @property
    def ahead(self) -> int:
        """Microseconds from this machine's monotonic time to the server's since 1970; 0 before a beat."""
        return 0 if self._now is None else int((self._now.timestamp() - self._at) * 1e6)
