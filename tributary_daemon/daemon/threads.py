"""The handler threads of a process: a fixed number, fed by one queue."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.handoff import Handoff
from tributary_daemon.engine.failures import record, retried, timed_out
from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.model.outcome import Released

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.telling import Telling
    from tributary_daemon.model.outcome import Outcome

# one aims at a time: a cancel comes from the database thread, a timeout from that of the deadlines
_AIMING: Final = threading.Lock()


class HandlerThreads:
    """Runs sync handlers.

    Args:
        count: threads, one per slot.
        run: executes one lease; returns its outcome, None when there is nothing left to write.
        report: takes the outcome; called in the handler's thread, once per lease that was not taken back.
        board: where each thread notes what it runs, in a place of its own.
        telling: tells of those that are marked for it; None where nobody wants to be told.
    """

    def __init__(
        self,
        count: int,
        run: Callable[[Held], Outcome | None],
        report: Callable[[Held, Outcome | None], None],
        board: Board,
        telling: Telling | None = None,
    ) -> None:
        self._board = board
        self._queue: Handoff[Held | None] = Handoff()
        self._run = run
        self._telling = telling
        self._told = run if telling is None else telling.watched(run)
        self._report = report
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=f"handler-{place + 1}", daemon=True)
            for place in range(count)
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread end after what is queued."""
        self._queue.put([None] * len(self._threads))

    def put(self, leases: Sequence[Held]) -> None:
        """Queue leases; they start in this order as threads become free."""
        self._queue.put(leases)

    def take_back(self) -> list[Held]:
        """Return what is queued and has not started; it will not start."""
        return [held for held in self._queue.take_back() if held is not None]

    def _serve(self, place: int) -> None:
        bed = threading.Lock()
        bed.acquire()
        if self._telling is not None:
            self._telling.prepare()
        while (held := self._queue.get(bed)) is not None:
            if held.dropped or held.recalled:
                self._report(held, None)
            else:
                outcome = self._attempt(held, place)
                self._board.end(held)
                self._report(held, outcome)

    def _attempt(self, held: Held, place: int) -> Outcome | None:
        outcome: Outcome | None = None
        written = False
        while True:
            try:
                if outcome is None and not written:
                    held.started_at = time.monotonic()
                    self._board.begin(place, held, limited=not held.isolated)
                    held.thread_id = threading.get_ident()
                    outcome = self._told(held) if held.told else self._run(held)
                    written = outcome is None
                if held.thread_id is not None:
                    # whoever has run it was not behind a shield already
                    shield(held)
            except HandlerTimeout as error:
                # raised into this thread outside the handler's own code
                outcome = outcome or (None if written else timed_out(held, error))
            except StepCancelled:
                outcome = outcome or (None if written else Released("cancelled"))
            except BaseException as error:  # noqa: BLE001 - a lease without a report would be held for ever
                outcome = retried(record(error, held, reason="internal"), error, held)
            else:
                return outcome


def interrupt(held: Held, error: type[BaseException]) -> bool:
    """Raise ``error`` in the thread that runs this lease; False when none runs user code for it.

    The exception arrives between two bytecodes: a thread inside a C call gets it after the call.
    """
    # the thread that is aimed at must hold no lock of ours: the exception may come right behind it
    with _AIMING:
        held.aimed = True
        target = held.thread_id
        if target is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(target), ctypes.py_object(error))
        held.aimed = False
    return target is not None


def shield(held: Held) -> None:
    """Called by the thread that runs a lease: no `interrupt` reaches it from here on, nor its next lease.

    Raises:
        HandlerTimeout: it was on its way.
        StepCancelled: it was on its way.
    """
    held.thread_id = None
    while held.aimed:
        time.sleep(0)
    # an exception that was set meanwhile is raised at a call
    _checkpoint()


def _checkpoint() -> None:
    return
