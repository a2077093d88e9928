"""How many attempts of a process hold a connection of their own at once."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held

_LOOK_EVERY: Final = 0.02


class ConnectionSlots:
    """Bounds the `step.connection()` of a process: threads, loop and isolated attempts together.

    Attributes:
        holders: who has one.

    Args:
        most: attempts that hold one at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self.holders: set[Held] = set()

    def __len__(self) -> int:
        return len(self.holders)

    def __contains__(self, held: object) -> bool:
        return held in self.holders

    def grant(self, held: Held) -> bool:
        """Give an attempt a slot if one is free; True if it has one."""
        with self._lock:
            if held in self.holders or len(self.holders) < self.most:
                self.holders.add(held)
                return True
            return False

    def take(self, held: Held) -> None:
        """Wait in the attempt's thread for a slot. Its timeout and its cancellation are raised meanwhile."""
        # Looking again and again, because an exception that is raised into this thread may come anywhere:
        # it leaves neither a lock held nor a slot that nobody knows of.
        while not self.grant(held):
            time.sleep(_LOOK_EVERY)

    async def atake(self, held: Held) -> None:
        """Wait in the loop for a slot; cancelled with the attempt."""
        while not self.grant(held):  # noqa: ASYNC110 - threads give slots back too
            await asyncio.sleep(_LOOK_EVERY)

    def free(self, held: Held) -> None:
        """Give back the slot of an attempt, if it has one."""
        with self._lock:
            self.holders.discard(held)
