"""Which queues have a limit over all workers, and when a process may ask them again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.store.leases import Opening

# a rate that lets more start is asked this often, and gives what has come together meanwhile
_LEAST: Final = 0.05
_NEVER: Final = float("inf")


class Limits:
    """What the last survey said of queues: the database decides, this only spares it vain claims."""

    def __init__(self) -> None:
        self._opens_at: dict[str, float] = {}
        self._limited: frozenset[str] = frozenset()
        self._waits: frozenset[str] = frozenset()

    def learn(self, openings: Iterable[Opening], ready: Iterable[str]) -> None:
        """Take what a survey found.

        Args:
            openings: of the queues that are paused or limited.
            ready: queues that hold available rows.
        """
        now = time.monotonic()
        found = list(openings)
        self._limited = frozenset(opening.queue for opening in found if opening.limited)
        self._waits = self._limited & frozenset(ready)
        self._opens_at = {
            opening.queue: _NEVER
            if opening.opens_in is None
            else now + max(_LEAST, opening.opens_in)
            if opening.opens_in
            else 0.0
            for opening in found
        }

    def __contains__(self, queue: str) -> bool:
        """Whether a queue has a limit: what is claimed of it is to start at once."""
        return queue in self._limited

    def open(self, queue: str) -> bool:
        """Whether a claim may find something in it, as far as is known."""
        return self._opens_at.get(queue, 0.0) <= time.monotonic()

    def shut(self, queues: Iterable[str]) -> None:
        """A claim found less than it asked for: no more is asked until the next survey, or until `doubt`."""
        self._opens_at.update(
            {queue: _NEVER for queue in queues if queue in self._limited and self.open(queue)}
        )

    def doubt(self) -> None:
        """Somebody says that there may be work: ask those who have no time of their own."""
        self._opens_at = {queue: at for queue, at in self._opens_at.items() if at != _NEVER}

    def freed(self, queue: str) -> None:
        """An attempt of it has ended here."""
        if self._opens_at.get(queue) == _NEVER:
            del self._opens_at[queue]

    @property
    def opens_at(self) -> float | None:
        """When the rate of a queue that holds ready rows allows the next attempt; None for no such queue."""
        times = [at for queue, at in self._opens_at.items() if queue in self._waits and 0.0 < at < _NEVER]
        return min(times, default=None)
