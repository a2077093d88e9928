"""The crew of a process: its handler threads and its loop, and the clock that holds them to timeouts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.handler_loop import HandlerLoop
from tributary_daemon.daemon.inbox import Finished
from tributary_daemon.daemon.threads import HandlerThreads, interrupt
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.model.states import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Any

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.model.outcome import Outcome

_WATCH_EVERY: Final = 0.05
_GRACE: Final = 2.0
_LOOP_GRACE: Final = 10.0


class Crew:
    """Runs leases; reports each outcome to the inbox.

    Args:
        slots: steps that run at once.
        run: runs one lease in a thread.
        arun: runs one lease in the loop.
        inbox: of the database thread.
        on_stuck: called when a thread ignored its timeout for two seconds, or the loop for ten (a shell
            step ends its process group first): this process has to be replaced.
    """

    def __init__(
        self,
        slots: int,
        run: Callable[[Held], Outcome | None],
        arun: Callable[[Held], Coroutine[Any, Any, Outcome | None]],
        inbox: Inbox,
        on_stuck: Callable[[Held], None],
    ) -> None:
        self._inbox = inbox
        self._on_stuck = on_stuck
        self._threads = HandlerThreads(slots, run, self._report)
        self._loop = HandlerLoop(slots, arun, self._report)
        self._timed: set[Held] = set()
        self._overdue: dict[Held, float] = {}
        self._watch_at = 0.0

    def start(self) -> None:
        """Start threads and loop."""
        self._threads.start()
        self._loop.start()

    def stop_all(self) -> None:
        """End threads and loop; what still runs is left to the end of the process."""
        self._threads.stop()
        self._loop.stop()

    def give(self, leases: Sequence[Held]) -> None:
        """Run these leases as slots become free."""
        threads = [held for held in leases if not held.in_loop]
        if len(threads) != len(leases):
            self._loop.put([held for held in leases if held.in_loop])
        # an isolated attempt is held to its timeout by the thread that waits for it
        self._timed.update(held for held in leases if held.timeout is not None and not held.isolated)
        self._threads.put(threads)

    def take_back(self, held: Iterable[Held]) -> list[Held]:
        """Return those of the held leases that have not started; they will not start."""
        return self._threads.take_back() + self._loop.take_back(item for item in held if item.in_loop)

    def stop(self, held: Held) -> None:
        """Tell whoever runs this lease that it is in vain."""
        if held.in_loop:
            self._loop.cancel(held)
        elif not held.isolated:
            # whoever waits for an isolated process looks for itself
            interrupt(held, StepCancelled)

    def wants_facts(self, held: Held) -> bool:
        """Return whether a lease's surroundings are needed before it starts."""
        if held.kind == Kind.CLOSING:
            return True
        if held.kind != Kind.STEP or held.handler is None:
            return False
        # a sync handler can ask for them itself; an async one would block its loop
        return held.dynamic or (held.in_loop and held.handler.signature.step_name is not None)

    def patience(self) -> float:
        """Return the seconds until timeouts have to be looked at again."""
        return _WATCH_EVERY if self._timed or self._overdue else 60.0

    def watch(self) -> None:
        """Raise `HandlerTimeout` in threads past their time; give up on whoever ignores it.

        A lease that was lost is watched on: its handler may still hold a slot. The loop raises its timeouts
        itself.
        """
        now = time.monotonic()
        if now < self._watch_at or not (self._timed or self._overdue):
            return
        self._watch_at = now + _WATCH_EVERY
        self._timed = {item for item in self._timed if not item.reported}
        for held in [item for item in self._timed if _is_over(item, now)]:
            self._timed.discard(held)
            if held.in_loop:
                self._overdue[held] = now + _LOOP_GRACE
            elif interrupt(held, HandlerTimeout):
                self._overdue[held] = now + _GRACE
        for held, until in list(self._overdue.items()):
            if held.reported:
                del self._overdue[held]
            elif now > until:
                del self._overdue[held]
                self._inbox.put(Finished(held, timed_out(held)))
                self._on_stuck(held)

    def _report(self, held: Held, outcome: Outcome | None) -> None:
        self._inbox.put(Finished(held, outcome))


def _is_over(held: Held, now: float) -> bool:
    return held.started_at is not None and held.timeout is not None and now > held.started_at + held.timeout
