"""What operators want of a worker, as its beat brings it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon import events

if TYPE_CHECKING:
    from tributary_daemon.daemon.family import Family


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
        if not self.paused:
            self._family.send("wake")

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
