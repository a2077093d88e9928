"""Spans that have ended and wait for their export."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tributary_daemon.observers.span_records import Ending


class SpanQueue:
    """Takes spans from any thread, for one that exports them.

    Args:
        most: that may wait; what comes beyond is dropped.
        batch: that are worth an export.

    Attributes:
        spans: whoever appends one himself calls `crowd` where ``batch`` of them wait.
        batch: as given.
        due: set once so many wait.
    """

    def __init__(self, most: int = 2048, batch: int = 512) -> None:
        self.spans: deque[Ending] = deque()
        self.batch = min(batch, most)
        self.due = threading.Event()
        self._most = most
        self._dropped = 0
        self._dropping = threading.Lock()

    def take(self, span: Ending) -> None:
        """Have a span exported soon; one that finds too many before it is dropped."""
        self.spans.append(span)
        if len(self.spans) >= self.batch:
            self.crowd()

    def crowd(self) -> None:
        """Say that a batch waits, and drop what is too much."""
        if len(self.spans) > self._most:
            # one at a time, so that each drops what is too much still; who exports takes some meanwhile
            with self._dropping, suppress(IndexError):
                while len(self.spans) > self._most:
                    self.spans.pop()
                    self._dropped += 1
        if not self.due.is_set():
            self.due.set()

    def wait(self, longest: float) -> None:
        """Wait until a batch waits, ``longest`` seconds at most."""
        self.due.wait(longest)
        self.due.clear()

    def next(self) -> list[Ending]:
        """Return those of the next export, none where none waits; for one thread at a time."""
        found: list[Ending] = []
        with suppress(IndexError):
            while len(found) < self.batch:
                found.append(self.spans.popleft())
        return found

    def dropped(self) -> int:
        """Return how many were dropped since the last call."""
        with self._dropping:
            dropped, self._dropped = self._dropped, 0
        return dropped
