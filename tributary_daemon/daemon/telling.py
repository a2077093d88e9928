"""Attempts watched: who observes is told of their beginning and end, and nobody else pays for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from tributary_daemon.model.correlation import NOTHING
from tributary_daemon.model.outcome import (
    Cached,
    CacheWait,
    Completed,
    Continued,
    Crashed,
    Discarded,
    Failed,
    Parked,
    Recorded,
    Released,
    Skipped,
    Snoozed,
    Suspended,
)
from tributary_daemon.observers import subscribers
from tributary_daemon.observers.attempts import (
    AttemptCached,
    AttemptCompleted,
    AttemptEvent,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    AttemptSnoozed,
    AttemptStarted,
    AttemptSuspended,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import ErrorRecord, Outcome

    Run = Callable[[Held], Outcome | None]
    ARun = Callable[[Held], Coroutine[Any, Any, Outcome | None]]


class Watcher(Protocol):
    """Is told of attempts; what it raises would be the attempt's, so it raises nothing."""

    def mark(self, leases: Sequence[Held], /) -> None:
        """Set `Held.told` of those that it is to be told of; of the others nobody asks again."""

    def prepare(self) -> None:
        """A handler thread is about to run what was not chosen, too."""

    def begin(self, held: Held, /) -> Any:
        """An attempt begins; return what `end` takes, None: nothing is to be told of its end."""

    def end(self, held: Held, outcome: Outcome | None, begun: Any, /) -> None:
        """It came to an outcome; None of one that was completed on the connection of its step."""

    def break_off(self, held: Held, begun: Any, /) -> None:
        """It was interrupted before it came to one."""

    def passed(self, held: Held, /) -> None:
        """A step of the engine's own came to an outcome; its beginning is not told."""

    def quick(self, run: Run, told: Run, /) -> Run:
        """Return ``told``, which is ``run`` with all of this around it, or a shorter way to the same."""


def watched(run: Run, watcher: Watcher) -> Run:
    """Return ``run`` with a watcher; of the engine's own steps it hears only that they have passed."""

    def told(held: Held) -> Outcome | None:
        if held.control:
            passed = run(held)
            watcher.passed(held)
            return passed
        begun = watcher.begin(held)
        try:
            outcome = run(held)
        except BaseException:
            if begun is not None:
                watcher.break_off(held, begun)
            raise
        if begun is not None:
            watcher.end(held, outcome, begun)
        return outcome

    return told


def awatched(arun: ARun, watcher: Watcher) -> ARun:
    """Return ``arun`` with a watcher."""

    async def told(held: Held) -> Outcome | None:
        begun = watcher.begin(held)
        try:
            outcome = await arun(held)
        except BaseException:
            if begun is not None:
                watcher.break_off(held, begun)
            raise
        if begun is not None:
            watcher.end(held, outcome, begun)
        return outcome

    return told


class Telling:
    """What a crew does for watchers.

    Args:
        watchers: the innermost first.

    Attributes:
        mark: marks those leases of which somebody wants to be told.
    """

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers
        # each batch of leases goes through it, and most often there is one
        self.mark: Callable[[Sequence[Held]], None] = self._mark if len(watchers) != 1 else watchers[0].mark

    def watched(self, run: Run) -> Run:
        """Return ``run`` for leases of which somebody wants to be told."""
        for watcher in self._watchers:
            run = watcher.quick(run, watched(run, watcher))
        return run

    def awatched(self, arun: ARun) -> ARun:
        """Return ``arun`` for all leases: each has a context of its own to be prepared."""
        for watcher in self._watchers:
            arun = awatched(arun, watcher)
        return arun

    def _mark(self, leases: Sequence[Held]) -> None:
        for watcher in self._watchers:
            watcher.mark(leases)

    def prepare(self) -> None:
        """A handler thread is about to run leases."""
        for watcher in self._watchers:
            watcher.prepare()


class Teller:
    """Tells subscribers."""

    def mark(self, leases: Sequence[Held]) -> None:
        """Mark all."""
        for held in leases:
            held.told = True

    def prepare(self) -> None:
        """Do nothing."""

    def begin(self, held: Held) -> float:
        """Say that an attempt begins; return when."""
        subscribers.publish(AttemptStarted(**_who(held)))
        return time.monotonic()

    def end(self, held: Held, outcome: Outcome | None, begun: float) -> None:
        """Say what an attempt came to."""
        subscribers.publish(event_of(held, outcome, time.monotonic() - begun))

    def break_off(self, held: Held, begun: float) -> None:
        """Say that it was interrupted."""
        self.end(held, Released("interrupted"), begun)

    def passed(self, held: Held) -> None:
        """Say nothing: it is no attempt of anybody's handler."""

    def quick(self, _run: Run, told: Run) -> Run:
        """Return ``told``."""
        return told


def event_of(held: Held, outcome: Outcome | None, seconds: float) -> AttemptEvent:
    """Return the event of an attempt's end.

    Args:
        held: its lease.
        outcome: None of one that was completed on the connection of its step.
        seconds: that it took.
    """
    who: dict[str, Any] = {**_who(held), "seconds": seconds}
    if isinstance(outcome, Recorded):
        outcome = outcome.outcome
    match outcome:
        case None | Completed():
            return AttemptCompleted(**who)
        case Cached():
            return AttemptCached(**who)
        case CacheWait():
            return AttemptReleased(**who, reason="cache_wait")
        case Failed(error, delay):
            return _failed(who, error, delay=None if held.last else delay, last=held.last)
        case Discarded(error, _):
            return _failed(who, error, delay=None, last=True)
        case Crashed(error) | Parked(error):
            return _failed(who, error, delay=None, last=False)
        case Snoozed(delay):
            return AttemptSnoozed(**who, delay=delay)
        case Suspended() | Continued():
            return AttemptSuspended(**who)
        case Skipped():
            return AttemptSkipped(**who)
        case Released(reason):
            return AttemptReleased(**who, reason=reason)
        case _:
            # only steps of the engine's own come to anything else
            return AttemptReleased(**who, reason=type(outcome).__name__.lower())


def _failed(who: dict[str, Any], error: ErrorRecord, *, delay: float | None, last: bool) -> AttemptFailed:
    return AttemptFailed(
        **who, type=error.type, message=error.message, reason=error.reason, last=last, delay=delay
    )


def _who(held: Held) -> dict[str, Any]:
    ids = held.correlation or NOTHING
    return {
        "run_id": held.run_id,
        "step": held.step_id or held.name,
        "name": held.name,
        "kind": held.kind,
        "queue": held.queue,
        "attempt": held.attempt,
        "tenant": held.tenant or None,
        "correlation_id": ids.correlation_id,
        "business_id": ids.business_id,
        "trace_id": ids.trace_id,
    }
