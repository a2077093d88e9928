"""The thread that looks what has become of traced attempts, and has spans made of their steps and runs.

Nothing of it exists before an attempt of a sampled run ends: no thread, no connection, no statement.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.reconnect import LOST, TROUBLE, Reconnect
from tributary_daemon.observers.tracing import TracingFailed
from tributary_daemon.store import spans
from tributary_daemon.store.db import run
from tributary_daemon.store.spans import Noted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.store.spans import Ended

    Tell = Callable[[Sequence[Ended], Sequence[Noted]], None]

EVERY: Final = 1.0
"""Seconds from the end of an attempt to the look, so that one look serves many."""
MOST: Final = 10_000
"""Attempts that wait for a look; the spans of what comes beyond them are lost."""
_PATIENCE: Final = 60.0
_IDLE: Final = 30.0
_AT_ONCE: Final = 1_000


class SpanLooks:
    """Looks for what has ended with the attempts of one process.

    Args:
        setup: of the process.
        tell: is given what has ended, and the attempts that it was asked for.
    """

    def __init__(self, setup: ProcessSetup, tell: Tell) -> None:
        self._tell = tell
        self._link = Reconnect(setup.url, f"trib {setup.label} traces", prepare=setup.prepare, silence=5.0)
        # set while there is something to look for, so that whoever comes next has nobody to wake
        self._news, self._end = threading.Event(), threading.Event()
        # with the monotonic time until which its outcome is waited for
        self._noted: deque[tuple[Noted, float]] = deque(maxlen=MOST)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self, held: Held) -> None:
        """An attempt has come to its outcome, which is about to be written. For any thread."""
        noted = Noted(held.shard, held.run_id, held.ordinal, held.seq)
        self._noted.append((noted, time.monotonic() + _PATIENCE))
        if not self._news.is_set():
            with self._starting:
                # an exception may be raised into a handler's thread between any two lines, the start included
                if not self._end.is_set() and (self._thread is None or not self._thread.is_alive()):
                    self._thread = threading.Thread(target=self._run, name="spans of runs", daemon=True)
                    self._thread.start()
            self._news.set()

    def close(self, patience: float = 2.0) -> None:
        """Look once more, now that all outcomes are written, and end the thread."""
        with self._starting:
            self._end.set()
            thread = self._thread
        self._news.set()
        if thread is not None:
            thread.join(patience)

    def _run(self) -> None:
        while self._wait():
            self._look()
        self._look()
        self._link.close()

    def _wait(self) -> bool:
        """Wait for something to look for; False once this is the end."""
        while not self._news.wait(_IDLE):
            self._link.close()
        return not self._end.wait(max(EVERY, self._link.pause))

    def _look(self) -> None:
        # what comes from here on is seen now, or is news
        self._news.clear()
        asked = [self._noted.popleft() for _ in range(len(self._noted))]
        for shard in sorted({one.shard for one, _ in asked}):
            here = [(one, until) for one, until in asked if one.shard == shard]
            for at in range(0, len(here), _AT_ONCE):
                part = here[at : at + _AT_ONCE]
                waits = self._ask(shard, [one for one, _ in part])
                now = time.monotonic()
                again = [(one, until) for one, until in part if one in waits and until > now]
                if again:
                    self._noted.extend(again)
                    self._news.set()

    def _ask(self, shard: int, noted: Sequence[Noted]) -> set[Noted]:
        """Have spans made of what has ended; return the attempts that are to be asked for again."""
        try:
            rows = run(self._link.connection(), spans.ended(shard, noted))
        except LOST as error:
            self._link.lost(error)
            return set(noted)
        except TROUBLE as error:
            events.emit(TracingFailed(f"spans of runs: {error}", "attempts have theirs all the same"))
            return set()
        self._tell([row for row in rows if row.what != "open"], noted)
        return {Noted(*row[1:5]) for row in rows if row.what == "open"}
