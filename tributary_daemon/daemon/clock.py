"""The database's clock as a supervisor sees it: compared with this machine's monotonic one."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_JUMP: Final = 2.0
_ASKED: Final = 5
# of so many answers the one counts that was on its way for the shortest time
_ANSWERS: Final = 20


class DatabaseClock:
    """Knows the database's time between two beats, and notices when it jumps."""

    def __init__(self) -> None:
        self._now: datetime | None = None
        self._at = 0.0
        self._ahead: deque[float] = deque(maxlen=_ANSWERS)

    def jumped(self, now: datetime) -> bool:
        """Take the database's time; return whether it is not where it should be, by more than 2 s.

        The time that a beat takes to answer is in both clocks, so only a change of one of them shows.
        """
        at = time.monotonic()
        before, since = self._now, at - self._at
        self._now, self._at = now, at
        jumped = before is not None and abs((now - before).total_seconds() - since) > _JUMP
        if jumped:
            self._ahead.clear()
        self._ahead.append(now.timestamp() - at)
        return jumped

    def compare(self, ask: Callable[[], datetime]) -> None:
        """Ask for the database's time a few times: before anything is claimed, `ahead` is to be right.

        Args:
            ask: returns it; on a machine with too much to do an answer may lie about for a while.
        """
        self._ahead.clear()
        for _ in range(_ASKED):
            now = ask()
            self._ahead.append(now.timestamp() - time.monotonic())

    def time_of(self, monotonic: float) -> datetime | None:
        """Return the database's time at a monotonic time of this machine; None before the first beat."""
        return None if self._now is None else self._now + timedelta(seconds=monotonic - self._at)

    @property
    def ahead(self) -> int:
        """Microseconds from this machine's monotonic time to the server's since 1970; 0 while not known."""
        return int(max(self._ahead, default=0.0) * 1e6)
