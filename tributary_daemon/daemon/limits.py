"""Which queues and tenants have a limit over all workers, and when a process may ask for their work again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.store.lanes import Lane, Opening

# a rate that lets more start is asked this often, and gives what has come together meanwhile
_LEAST: Final = 0.05
_NEVER: Final = float("inf")


class Limits:
    """What the last survey said of limits: the database decides, this only spares it vain claims."""

    def __init__(self) -> None:
        self._opens_at: dict[str, float] = {}
        self._limited: frozenset[str] = frozenset()
        self._waits: frozenset[str] = frozenset()

    def learn(self, openings: Iterable[Opening], ready: Iterable[Lane]) -> None:
        """Take what a survey found.

        Args:
            openings: of the queues that are paused or limited, and of tenants with a limit.
            ready: lanes that hold available rows.
        """
        now = time.monotonic()
        found = list(openings)
        self._limited = frozenset(opening.key for opening in found if opening.limited)
        self._waits = self._limited and self._limited & {key for lane in ready for key in lane.limits}
        self._opens_at = {
            opening.key: _NEVER
            if opening.opens_in is None
            else now + max(_LEAST, opening.opens_in)
            if opening.opens_in
            else 0.0
            for opening in found
        }

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._limited)

    def among(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys that have a limit."""
        return [key for key in keys if key in self._limited] if self._limited else []

    def holds(self, lane: Lane) -> bool:
        """Whether a lane is under a limit: what is claimed of it is to start at once."""
        return bool(self._limited) and not self._limited.isdisjoint(lane.limits)

    def open(self, lane: Lane) -> bool:
        """Whether a claim may find something in a lane, as far as is known."""
        if not self._opens_at:
            return True
        now = time.monotonic()
        return all(self._opens_at.get(key, 0.0) <= now for key in lane.limits)

    def shut(self, lanes: Iterable[Lane]) -> None:
        """A claim found less than it asked for: no more is asked until the next survey, or until `doubt`."""
        if self._limited:
            shut = [lane for lane in lanes if self.open(lane)]
            self._opens_at.update({key: _NEVER for lane in shut for key in self.among(lane.limits)})

    def doubt(self) -> None:
        """Somebody says that there may be work: ask those who have no time of their own."""
        self._opens_at = {key: at for key, at in self._opens_at.items() if at != _NEVER}

    def freed(self, keys: Iterable[str]) -> None:
        """An attempt under these limits has ended here."""
        for key in keys:
            if self._opens_at.get(key) == _NEVER:
                del self._opens_at[key]

    @property
    def opens_at(self) -> float | None:
        """When the rate of a limit that holds ready rows allows the next attempt; None for no such limit."""
        times = [at for key, at in self._opens_at.items() if key in self._waits and 0.0 < at < _NEVER]
        return min(times, default=None)
