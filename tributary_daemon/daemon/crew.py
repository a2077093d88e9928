"""The crew of a process: its handler threads and its loop, and the clock that holds them to their timeouts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.handler_loop import HandlerLoop
from tributary_daemon.daemon.inbox import Finished
from tributary_daemon.daemon.threads import HandlerThreads
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.model.states import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tributary_daemon.daemon.attempts import Attempts
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.model.outcome import Outcome

_WATCH_EVERY: Final = 0.05
_GRACE: Final = 2.0


class Crew:
    """Runs leases; reports each outcome to the inbox.

    Args:
        slots: steps that run at once.
        attempts: runs one lease.
        inbox: of the database thread.
        on_stuck: called when a thread ignored its timeout for two seconds: this process has to be replaced.
    """

    def __init__(self, slots: int, attempts: Attempts, inbox: Inbox, on_stuck: Callable[[Held], None]) -> None:
        self._inbox = inbox
        self._on_stuck = on_stuck
        self._threads = HandlerThreads(slots, attempts.run, self._report)
        self._loop = HandlerLoop(slots, attempts.arun, self._report)
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
        threads = [held for held in leases if held.handler is None or not held.handler.is_async]
        if len(threads) != len(leases):
            self._loop.put([held for held in leases if held.handler is not None and held.handler.is_async])
        self._timed.update(held for held in threads if held.timeout is not None)
        self._threads.put(threads)

    def take_back(self, held: Iterable[Held]) -> list[Held]:
        """Return those of the held leases that have not started; they will not start."""
        waiting = self._threads.take_back()
        known = {id(item) for item in waiting}
        return waiting + [
            item
            for item in held
            if item.started_at is None and id(item) not in known and item.handler is not None and item.handler.is_async
        ]

    def stop(self, held: Held) -> None:
        """Tell whoever runs this lease that it is in vain."""
        if held.handler is not None and held.handler.is_async:
            self._loop.cancel(held)
        else:
            self._threads.interrupt(held, StepCancelled)

    def wants_facts(self, held: Held) -> bool:
        """Return whether a lease's surroundings are needed before it starts."""
        if held.kind == Kind.CLOSING:
            return True
        if held.kind != Kind.STEP or held.handler is None:
            return False
        # a sync handler can ask for them itself; an async one would block its loop
        return held.dynamic or (held.handler.is_async and held.handler.signature.step_name is not None)

    def patience(self) -> float:
        """Return the seconds until timeouts have to be looked at again."""
        return _WATCH_EVERY if self._timed or self._overdue else 60.0

    def watch(self) -> None:
        """Raise `HandlerTimeout` in threads past their time; give up on those that ignore it."""
        now = time.monotonic()
        if now < self._watch_at or not (self._timed or self._overdue):
            return
        self._watch_at = now + _WATCH_EVERY
        for held in [item for item in self._timed if item.dropped]:
            self._timed.discard(held)
        for held in [item for item in self._overdue if item.dropped]:
            del self._overdue[held]
        for held in [item for item in self._timed if _is_over(item, now)]:
            self._timed.discard(held)
            self._overdue[held] = now
            self._threads.interrupt(held, HandlerTimeout)
        for held, since in list(self._overdue.items()):
            if now - since > _GRACE:
                del self._overdue[held]
                self._inbox.put(Finished(held, timed_out(held)))
                self._on_stuck(held)

    def _report(self, held: Held, outcome: Outcome | None) -> None:
        self._inbox.put(Finished(held, outcome))


def _is_over(held: Held, now: float) -> bool:
    return held.started_at is not None and held.timeout is not None and now > held.started_at + held.timeout
