"""What a supervisor tells its processes: what operators want, as its beat brings it, and where work is."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Final

from tributary_daemon import events

if TYPE_CHECKING:
    from tributary_daemon.daemon.family import Family

# a process that is woken has claimed by then, so that the others do not slow it down
_STAGGER: Final = 0.004
# of all workers that wait, so many look at once for each notification
_FEW: Final = 4
# and the others within so many seconds for each of them, a second at most, which is how often all look anyhow
_SPREAD: Final = 0.005
_LONGEST: Final = 1.0
_RANDOM: Final = Random()  # noqa: S311 - a lot, not a secret


class Orders:
    """Passes on to the processes what stands in the worker's row, and withholds wake-ups from paused ones.

    Attributes:
        command: that was taken last: pause, drain, stop; None for nothing.

    Args:
        name: of the worker.
        family: its processes.
    """

    def __init__(self, name: str, family: Family) -> None:
        self.command: str | None = None
        self._name = name
        self._family = family
        self._others_at: float | None = None
        self._looks_at = 0.0

    @property
    def due_in(self) -> float:
        """Seconds until `follow_up` has something to do; infinite for nothing."""
        return float("inf") if self._others_at is None else max(0.0, self._others_at - time.monotonic())

    @property
    def paused(self) -> bool:
        """Whether nothing is to be claimed until an operator resumes."""
        return self.command == "pause"

    @property
    def stops(self) -> int:
        """How many signals to stop the command stands for: one drains, two give back at once."""
        return {"drain": 1, "stop": 2}.get(self.command or "", 0)

    def state(self, *, draining: bool) -> str:
        """Return the state of the worker as its row shows it."""
        return "draining" if draining else "paused" if self.paused else "running"

    def wake(self) -> None:
        """Tell the processes that there may be work, unless the worker is paused."""
        self._others_at = None
        if not self.paused:
            self._family.send("wake")

    def nudge(self, notes: int, waiting: int = 1) -> float:
        """Work was submitted, ``notes`` times: one process looks at once, the others a moment later.

        One intent is started sooner by one process than by several that claim it from each other. For the
        same reason few of ``waiting`` workers do so, whom the lot chooses.

        Returns:
            the monotonic time at which the supervisor is to look; infinite where its processes do.
        """
        if notes and _RANDOM.random() * waiting >= _FEW * notes:
            if self._looks_at <= (now := time.monotonic()):
                self._looks_at = now + _RANDOM.uniform(0, min(_SPREAD * waiting, _LONGEST))
            return self._looks_at
        if notes > 1 or (notes and self._others_at is not None):
            self.wake()
        elif notes and not self.paused and self._family.wake_next():
            self._others_at = time.monotonic() + _STAGGER
        return float("inf")

    def follow_up(self) -> None:
        """Wake the others, once it is time."""
        if self._others_at is not None and time.monotonic() >= self._others_at:
            self.wake()

    def take(self, command: str | None) -> bool:
        """Take what a beat has brought; return whether it changed anything.

        A drain cannot be undone: after it only a stop is heard.
        """
        before = self.command
        if command == before or (self.stops and command != "stop"):
            return False
        self.command = command
        events.emit(events.WorkerCommanded(name=self._name, command=command or "resume"))
        if self.paused:
            self._family.send("pause")
        elif not self.stops:
            self._family.send("resume")
            self.wake()
        return True
