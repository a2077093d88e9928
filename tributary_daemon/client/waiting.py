"""The pace of waiting, and what reading calls share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from tributary_daemon.client import options
from tributary_daemon.client.awaited import FIRST_POLL, GROWTH, SLOWEST_POLL
from tributary_daemon.errors import InvalidInput, WaitTimeout, WorkFailed
from tributary_daemon.model import durations
from tributary_daemon.sealing.box import Hidden
from tributary_daemon.store.lists import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from tributary_daemon.client.documents import Document
    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.store.correlations import Sought


Seen: TypeAlias = "Callable[[Document], None]"


def filter_of(
    settings: Settings,
    *,
    state: str | None,
    kind: str | None,
    name: str | None,
    labels: Mapping[str, str] | None,
    since: RunAfter | None,
    limit: int,
    after: str | None,
    sought: Sought,
) -> Filter:
    """Return a list's filter; ``since`` is a duration before now, or a time.

    Raises:
        InvalidInput: ``since`` is neither.
    """
    at, age = options.due(since)
    return Filter(
        state=state,
        kind=kind,
        name=name,
        labels=dict(labels or {}),
        since=at,
        age=age,
        tenant=settings.sees,
        sought=sought if any(sought) else None,
        after=after,
        limit=limit,
    )


class Pace:
    """How a wait goes on: quick polls first, then slower ones, and no longer than asked for.

    Args:
        work_id: for the message.
        timeout: seconds or a duration; None for ever.
        poll: slowest poll in seconds.
        now: reads a monotonic clock.
    """

    def __init__(
        self,
        work_id: str,
        timeout: float | str | timedelta | None,
        poll: float | None,
        now: Callable[[], float],
    ) -> None:
        if poll is not None and poll <= 0:
            raise InvalidInput(f"poll {poll!r} must be longer than 0 seconds")
        self._work_id = work_id
        self._timeout = None if timeout is None else durations.seconds(timeout)
        self._slowest = SLOWEST_POLL if poll is None else poll
        self._pause = min(FIRST_POLL, self._slowest)
        self._now = now
        self._end = None if self._timeout is None else now() + self._timeout

    def pause(self) -> float:
        """Return for how many seconds to wait before the next look.

        Raises:
            WaitTimeout: the time is over.
        """
        pause, self._pause = self._pause, min(self._pause * GROWTH, self._slowest)
        left = self.left()
        return pause if left is None else min(pause, left)

    def left(self) -> float | None:
        """Return how many seconds are left; None for ever.

        Raises:
            WaitTimeout: the time is over.
        """
        if self._end is None:
            return None
        left = self._end - self._now()
        if left <= 0:
            assert self._timeout is not None
            raise WaitTimeout(
                f"{self._work_id} has not ended after {durations.text(self._timeout)}",
                hint="it goes on; wait again, or cancel it",
            )
        return left

    def lost(self) -> float:
        """Return for how many seconds to wait before trying a lost database again."""
        self._pause = self._slowest
        return self.pause()


class Limit:
    """One time for several waits, one after the other.

    Args:
        timeout: seconds or a duration; None for ever.
        now: reads a monotonic clock.
    """

    def __init__(self, timeout: float | str | timedelta | None, now: Callable[[], float]) -> None:
        self._timeout = None if timeout is None else durations.seconds(timeout)
        self._now = now
        self._end = None if self._timeout is None else now() + self._timeout

    def left(self) -> float | None:
        """Return how many seconds are left, none at the least; None for ever."""
        return None if self._end is None else max(0.0, self._end - self._now())

    def over(self, work_id: str, number: int, of: int) -> WaitTimeout:
        """Return the error for work that has not ended in time."""
        return WaitTimeout(
            f"{work_id}, number {number} of {of}, has not ended after {durations.text(self._timeout or 0.0)}",
            hint="all of them go on; wait again, or cancel them",
        )


def result_of(document: Document) -> Any:
    """Return the result of work that was run inline.

    Raises:
        WorkFailed: it did not complete.
        EncryptionError: its result cannot be decrypted here.
    """
    if document.state == "completed":
        if isinstance(document.result, Hidden):
            raise document.result.error
        return document.result
    error = document.error
    told = f": {error.type}: {error.message}" if error is not None else ""
    where = f" in step {error.step}" if error is not None and error.step else ""
    raise WorkFailed(
        f"{document.name} is {document.state}{where}{told}",
        hint=f"`trib status {document.id}` shows all of it",
    )
