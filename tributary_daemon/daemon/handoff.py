"""A queue for a crew of threads: who waited least is woken, and nobody else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

T = TypeVar("T")


class Handoff(Generic[T]):
    """Any number of senders and receivers.

    The standard library's SimpleQueue wakes one thread more for every item, which finds nothing. Here each
    thread sleeps on a lock of its own, and the one whose stack is still in the caches goes first.
    Deques are changed by single calls that are atomic: no lock guards them, so that an exception raised into
    a receiver from outside leaves none behind.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._idle: deque[threading.Lock] = deque()

    def put(self, items: Sequence[T]) -> None:
        """Queue items in this order; wakes as many idle threads."""
        self._items.extend(items)
        for _ in items:
            try:
                bed = self._idle.pop()
            except IndexError:
                return
            bed.release()

    def get(self, bed: threading.Lock) -> T:
        """Return the next item, waiting for it.

        Args:
            bed: what this thread sleeps on: its own, for every call the same, held by it.
        """
        while True:
            try:
                return self._items.popleft()
            except IndexError:
                self._idle.append(bed)
            # it may have come before this thread was seen to be idle
            if not self._items:
                bed.acquire()
                continue
            try:
                self._idle.remove(bed)
            except ValueError:
                # roused meanwhile
                bed.acquire()
            else:
                continue

    def take_back(self) -> list[T]:
        """Return what is queued, which no thread will get."""
        taken: list[T] = []
        try:
            while True:
                taken.append(self._items.popleft())
        except IndexError:
            return taken
