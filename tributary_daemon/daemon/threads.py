"""The handler threads of a process: a fixed number, fed by one queue."""

from __future__ import annotations

import ctypes
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.model.outcome import Released

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome


class HandlerThreads:
    """Runs sync handlers.

    Args:
        count: threads, one per slot.
        run: executes one lease; returns its outcome, None when there is nothing left to write.
        report: takes the outcome; called in the handler's thread.
    """

    def __init__(
        self, count: int, run: Callable[[Held], Outcome | None], report: Callable[[Held, Outcome | None], None]
    ) -> None:
        self._queue: SimpleQueue[Held | None] = SimpleQueue()
        self._run = run
        self._report = report
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._serve, name=f"handler-{number}", daemon=True) for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread end after what is queued."""
        for _ in self._threads:
            self._queue.put(None)

    def put(self, leases: Iterable[Held]) -> None:
        """Queue leases; they start in this order as threads become free."""
        for held in leases:
            self._queue.put(held)

    def take_back(self) -> list[Held]:
        """Return what is queued and has not started; it will not start."""
        taken: list[Held] = []
        try:
            while True:
                held = self._queue.get(block=False)
                if held is not None:
                    taken.append(held)
        except Empty:
            return taken

    def interrupt(self, held: Held, error: type[BaseException]) -> bool:
        """Raise ``error`` in the thread that runs this lease; False when none does.

        The exception arrives between two bytecodes: a thread inside a C call gets it after the call.
        """
        with self._lock:
            if held.thread_id is None:
                return False
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(held.thread_id), ctypes.py_object(error))
            return True

    def _serve(self) -> None:
        while True:
            held: Held | None = None
            outcome: Outcome | None = None
            try:
                while True:
                    held, outcome = None, None
                    held = self._queue.get()
                    if held is None:
                        return
                    if not (held.dropped or held.recalled):
                        outcome = self._attempt(held)
                    self._report(held, outcome)
            except HandlerTimeout:
                # raised into this thread between the handler's last instruction and the report
                if held is not None:
                    self._report(held, outcome or timed_out(held))
            except StepCancelled:
                if held is not None:
                    self._report(held, outcome or Released("cancelled"))

    def _attempt(self, held: Held) -> Outcome | None:
        # under the lock: an interrupt meant for this lease must not hit the next one
        with self._lock:
            held.thread_id = threading.get_ident()
        held.started_at = time.monotonic()
        try:
            return self._run(held)
        finally:
            with self._lock:
                held.thread_id = None
