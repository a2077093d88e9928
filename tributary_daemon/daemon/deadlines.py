"""Holds attempts to their limits, in a thread of its own: neither the database nor a handler delays it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.threads import interrupt
from tributary_daemon.errors import HandlerTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.daemon.held import Held

WATCH_EVERY: Final = 0.05
GRACE: Final = 2.0
"""Seconds that a thread gets from `HandlerTimeout` to its end."""
LOOP_GRACE: Final = 10.0
"""The same for an async handler: a shell step ends its process group first."""


class Deadlines:
    """Raises `HandlerTimeout` in threads past a limit, and reports who ignores it.

    A lease that was lost is watched on: its handler may still hold a slot. The loop keeps the timeouts of
    its handlers itself, but not their heartbeats. Isolated attempts are held to both by the thread that
    waits for them.

    Args:
        cancel: ends the task of an async handler.
        overdue: called once for a lease that went on past its grace.
        tick: called with every look.
    """

    def __init__(
        self, cancel: Callable[[Held], None], overdue: Callable[[Held], None], tick: Callable[[], None]
    ) -> None:
        self._tick = tick
        self._cancel = cancel
        self._overdue = overdue
        self._incoming: deque[Held] = deque()
        self._timed: set[Held] = set()
        self._late: dict[Held, float] = {}
        # set while there is something to watch: an idle process wakes nobody
        self._busy = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._busy.set()

    def add(self, leases: Iterable[Held]) -> None:
        """Watch those of the leases that have a limit."""
        self._incoming += [
            held
            for held in leases
            if (held.timeout is not None or held.heartbeat_timeout is not None) and not held.isolated
        ]
        if self._incoming and not self._busy.is_set():
            self._busy.set()

    def _run(self) -> None:
        while not self._ended.wait(WATCH_EVERY if self._timed or self._late else 0.0):
            self.look(time.monotonic())
            if not (self._timed or self._late or self._incoming):
                self._busy.clear()
                if self._incoming:
                    # it came between the look and the clear
                    continue
                self._busy.wait()

    def look(self, now: float) -> None:
        """Look at every lease once."""
        self._tick()
        while self._incoming:
            self._timed.add(self._incoming.popleft())
        self._timed = {held for held in self._timed if not held.reported}
        for held in [held for held in self._timed if self._is_over(held, now)]:
            if held.in_loop:
                if held.silent_for is not None:
                    self._cancel(held)
                self._late[held] = now + LOOP_GRACE
            elif interrupt(held, HandlerTimeout):
                self._late[held] = now + GRACE
            else:
                # between two steps of its thread: looked at again
                continue
            self._timed.discard(held)
        for held, until in list(self._late.items()):
            if held.reported:
                del self._late[held]
            elif now > until:
                del self._late[held]
                self._overdue(held)

    def _is_over(self, held: Held, now: float) -> bool:
        started = held.started_at
        if started is None:
            return False
        if held.timeout is not None and now > started + held.timeout:
            return True
        silence = silent(held, now)
        if silence is not None:
            held.silent_for = silence
        return silence is not None


def silent(held: Held, now: float) -> float | None:
    """Return the limit of its heartbeat if a started lease has exceeded it."""
    limit = held.heartbeat_timeout
    if limit is None or held.started_at is None:
        return None
    return limit if now > max(held.started_at, held.beat_at or 0.0) + limit else None
