"""Threads that speak to the store of the step cache, so that nobody waits for it longer than a moment.

An attempt that asks may be timed out in its thread at any bytecode, which no client of a store would survive
in the middle of its protocol. And a store that hangs is left to the thread that has met it.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from tributary_daemon import events
from tributary_daemon.daemon.cache_events import CacheAvailable, CacheUnavailable

if TYPE_CHECKING:
    from tributary_daemon.daemon.cache_lookup import CacheLookup

T = TypeVar("T")
Work = Callable[["CacheLookup"], T]

_REST: Final = 5.0
_MOST: Final = 4
_IDLE: Final = 30.0


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class Call(Generic[T]):
    """One question.

    Attributes:
        work: what is to be asked, in one of the threads.
        undo: what is to be said when the answer comes too late; None for nothing.
        over: called once there is an answer or none will come, in that thread.
        done: released then. A plain lock: one that an interrupt cannot leave in a strange state.
        answer: None where there is none.
        late: whoever asked has gone on without.
    """

    work: Work[T]
    undo: Callable[[CacheLookup, T], None] | None = None
    over: Callable[[], None] | None = None
    done: threading.Lock = field(default_factory=_locked)
    answer: T | None = None
    late: bool = False


class CacheThreads:
    """Up to four threads, each with a lookup of its own, started as they are needed.

    After a failure nobody is kept waiting for five seconds; then one call is made to see.

    Args:
        name: of the store, without secrets.
        open_lookup: opens connections; called in one of the threads.
        patience: seconds that anybody waits for an answer.
    """

    def __init__(self, name: str, open_lookup: Callable[[], CacheLookup], patience: float) -> None:
        self._patience = patience
        self._name = name
        self._open = open_lookup
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._down_since: float | None = None
        self._again_at = 0.0

    def put(self, call: Call[Any]) -> bool:
        """Hand a question to a thread; False while the store is known to be out of reach."""
        now = time.monotonic()
        with self._lock:
            if self._down_since is not None:
                if now < self._again_at:
                    return False
                # this call tries for all others
                self._again_at = now + _REST
            if self._idle <= self._calls.qsize() and self._threads < _MOST:
                # Thread.start waits for the new thread, which an interrupt here would leave waiting for ever
                _thread.start_new_thread(self._serve, ())
                self._threads += 1
        self._calls.put(call)
        return True

    def ask(self, call: Call[T]) -> T | None:
        """Ask, and wait for a moment; None where there was no answer."""
        if not self.put(call):
            return None
        if call.done.acquire(timeout=self._patience):
            return call.answer
        return self.tire(call)

    def tire(self, call: Call[T]) -> T | None:
        """Wait no longer for a store that is silent; return its answer if it came in the last moment."""
        if not self.leave(call):
            return call.answer
        self._failed(f"no answer within {self._patience:g} s")
        return None

    def leave(self, call: Call[Any]) -> bool:
        """Go on without an answer; False if it has come."""
        with self._lock:
            call.late = call.done.locked()
            return call.late

    def close(self) -> None:
        """Let the threads end, once they have done what they are at."""
        with self._lock:
            threads, self._threads = self._threads, _MOST
        for _ in range(threads):
            self._calls.put(None)

    def _serve(self) -> None:
        lookup: CacheLookup | None = None
        with self._lock:
            self._idle += 1
        while True:
            try:
                # connections that nobody has used for a while are given back
                call = self._calls.get(timeout=None if lookup is None else _IDLE)
            except Empty:
                _close(lookup)
                lookup, call = None, self._calls.get()
            with self._lock:
                self._idle -= 1
            if call is None:
                break
            lookup = self._answer(lookup, call)
            with self._lock:
                # before anybody can ask again: this thread is free for that
                self._idle += 1
                late = call.late
                call.done.release()
            if not late and call.over is not None:
                call.over()
            elif late and call.undo is not None and call.answer is not None:
                self._undo(lookup, call)
        _close(lookup)

    def _answer(self, lookup: CacheLookup | None, call: Call[Any]) -> CacheLookup | None:
        """Do the work of a call; return the lookup for the next one, None if it is of no use any more."""
        try:
            lookup = lookup or self._open()
            call.answer = call.work(lookup)
        except Exception as error:  # noqa: BLE001 - clients raise what they like; the cache fails no work
            self._failed(f"{type(error).__name__}: {error}".strip(": "))
            _close(lookup)
            return None
        if not call.late:
            self._worked()
        return lookup

    def _undo(self, lookup: CacheLookup | None, call: Call[Any]) -> None:
        """Take back what nobody has waited for; where that fails, whoever asks next finds out by itself."""
        if lookup is not None and call.undo is not None:
            with suppress(Exception):
                call.undo(lookup, call.answer)

    def _failed(self, error: str) -> None:
        with self._lock:
            first = self._down_since is None
            now = time.monotonic()
            self._down_since = now if self._down_since is None else self._down_since
            self._again_at = now + _REST
        if first:
            events.emit(CacheUnavailable(store=self._name, error=error))

    def _worked(self) -> None:
        if self._down_since is None:
            return
        with self._lock:
            since, self._down_since = self._down_since, None
        if since is not None:
            events.emit(CacheAvailable(store=self._name, seconds=round(time.monotonic() - since, 3)))


def _close(lookup: CacheLookup | None) -> None:
    if lookup is not None:
        lookup.close()
