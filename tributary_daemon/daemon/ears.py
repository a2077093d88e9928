"""The listener of a supervisor, and its place in the loop."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.store import membership
from tributary_daemon.store.notify import Listener

if TYPE_CHECKING:
    from tributary_daemon.daemon.plan import WorkerPlan
    from tributary_daemon.store.db import Connection


_COUNT_EVERY: Final = 30.0


class Ears:
    """Keeps a LISTEN connection registered with the loop's selector, through its losses.

    Attributes:
        waiting: how many workers hear of the same work and wait for it, as of a while ago.

    Args:
        plan: of the worker.
        selector: of the loop.
    """

    def __init__(self, plan: WorkerPlan, selector: selectors.BaseSelector) -> None:
        self._listener = Listener(plan.listen_url, f"trib {plan.name} listen")
        self._selector = selector
        self._queues = plan.served
        self.waiting = 1
        self._count_at = 0.0
        self._registered: int | None = None

    @property
    def listening(self) -> bool:
        """Whether notifications arrive, as far as is known."""
        return self._listener.listening

    def probe(self, connection: Connection) -> None:
        """Have a notification sent over ``connection``, if none has come for a while; count who waits."""
        self._listener.probe(connection)
        if self.listening and (now := time.monotonic()) >= self._count_at:
            self._count_at = now + _COUNT_EVERY
            self.waiting = membership.count_waiting(connection, self._queues)

    def tend(self) -> bool:
        """Open what is missing; True when it was just opened: notifications were lost meanwhile."""
        opened = self._listener.ensure()
        current = self._listener.fileno()
        if current != self._registered:
            self._forget()
            if current is not None:
                self._selector.register(current, selectors.EVENT_READ, self)
            self._registered = current
        return opened

    def hear(self) -> list[tuple[str, str]]:
        """Return what has come as (channel, payload)."""
        heard = self._listener.receive()
        if self._listener.fileno() is None:
            # the connection was lost: its number may be handed out anew at any moment
            self._forget()
        return heard

    def close(self) -> None:
        """Close the connection."""
        self._forget()
        self._listener.close()

    def _forget(self) -> None:
        if self._registered is not None:
            self._selector.unregister(self._registered)
            self._registered = None
