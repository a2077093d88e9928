"""How much a process claims at once: its slots, or what it finishes within 60 ms if that is more."""

from __future__ import annotations

import time
from typing import Final

HORIZON: Final = 0.06
MOST: Final = 2000
_HALF_LIFE: Final = 0.25
_LEAST_SPAN: Final = 0.01


class Pace:
    """Moving average of finished steps per second, and the prefetch that follows from it.

    Args:
        slots: steps that run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._rate = 0.0
        # how much of the average has been seen: what came before the first steps does not weigh it down
        self._seen = 0.0
        self._counted = 0
        self._since = time.monotonic()

    def finished(self, count: int) -> None:
        """Count finished steps."""
        self._counted += count

    def target(self) -> int:
        """Return how many leases the process should hold now."""
        now = time.monotonic()
        passed = now - self._since
        if passed >= _LEAST_SPAN:
            weight = 0.5 ** (passed / _HALF_LIFE)
            self._rate = self._rate * weight + (self._counted / passed) * (1 - weight)
            if self._counted or self._seen:
                self._seen = self._seen * weight + (1 - weight)
            self._counted = 0
            self._since = now
        # steps that last longer than the horizon are never fetched ahead: they would wait here while
        # another process has a slot free
        rate = self._rate / self._seen if self._seen else 0.0
        return max(self._slots, min(MOST, int(rate * HORIZON)))

    def stalled(self) -> None:
        """What was fetched ahead found no slot: forget the rate that promised one."""
        self._rate = 0.0
        self._seen = 1.0
        self._counted = 0
