"""Attempts in a process of their own: those of handlers that asked for it, and suspects of a crash.

This is the side of the process that holds the lease; `isolated` is the other one.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.deadlines import silent
from tributary_daemon.daemon.endings import Exit, how
from tributary_daemon.daemon.wire import (
    NOT_IMPORTABLE,
    Answer,
    Ask,
    Beat,
    Closing,
    Granted,
    Order,
    Said,
    Started,
    receive_answer,
    send,
)
from tributary_daemon.engine.executor import tell
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.model.outcome import Crashed, Discarded, ErrorRecord, Outcome, Released, Snoozed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.attempts import Attempts
    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.daemon.setup import ProcessSetup

_STARTUP_LIMIT: Final = 60.0
_LOOK_EVERY: Final = 0.05
_LAST_MOMENT: Final = 2.0
_TO_CLOSE: Final = 10.0
_KEPT: Final = 2
_UNBORN: Final = 3


class Isolation:
    """Starts, watches and ends isolated processes.

    Handlers that asked for isolation get a new process for each attempt. Suspects share one after the other,
    as long as it survives.

    Args:
        setup: of the process that holds the leases.
        attempts: runs a suspect here whose handler no other process can import (a worker inside a program).
        runtime: takes the progress of isolated attempts.
        board: of the process.
        watch: holds such a suspect to its limits.
        traceparent: returns that of the current span; None where nobody traces.
    """

    def __init__(
        self,
        setup: ProcessSetup,
        attempts: Attempts,
        runtime: ProcessRuntime,
        board: Board,
        *,
        watch: Callable[[Held], None],
        traceparent: Callable[[], str | None],
    ) -> None:
        self._watch = watch
        self._traceparent = traceparent
        self._unborn: Counter[str] = Counter()
        self._setup = setup
        self._attempts = attempts
        self._runtime = runtime
        self._board = board
        self._lock = threading.Lock()
        self._kept: list[_IsolatedProcess] = []

    def run(self, held: Held) -> Outcome | None:
        """Run one attempt to its end, its timeout, its cancellation or its death."""
        if held.reads_progress:
            # read here, so that the isolated process needs no connection for it
            self._runtime.context(held)
        memory = held.handler.memory if held.handler is not None else None
        asked = held.handler is not None and held.handler.isolation is not None
        # the handler is found again by its name over there: functions do not travel
        lease = replace(held, handler=None, place=None, lines=None)
        order = Order(self._setup, lease, memory, self._traceparent())
        process = None if asked else self._reuse(order)
        if process is None:
            try:
                process = _IsolatedProcess()
            except OSError as error:
                return self._not_up(held, f"a process for it cannot be started: {error.strerror or error}")
            process.give(order)
        self._board.own_group(held, process.pid)
        answered = False
        try:
            outcome = self._follow(process, held)
            answered = not held.dropped
        except (EOFError, OSError):
            code = process.last_code()
            outcome = (
                process.closing.outcome
                if process.closing is not None
                else (
                    _died(held, code)
                    if process.started
                    else self._not_up(
                        held, f"the process that it was to run in ended at once, with {how(code)}"
                    )
                )
            )
        finally:
            if answered and not asked and process.whole:
                self._keep(process)
            else:
                process.end()
            self._runtime.slots.free(held)
        if not asked and isinstance(outcome, Discarded) and outcome.error.reason == NOT_IMPORTABLE:
            return self._here(held)
        return outcome

    def _not_up(self, held: Held, message: str) -> Outcome:
        """Nothing of the attempt ran: it is tried again uncounted, but not for ever."""
        self._unborn[held.name] += 1
        if self._unborn[held.name] < _UNBORN:
            return Snoozed(float(self._unborn[held.name]))
        del self._unborn[held.name]
        return _crashed(held, message, None)

    def _here(self, held: Held) -> Outcome | None:
        held.stays()
        held.started_at = time.monotonic()
        if held.place is not None:
            self._board.begin(held.place, held)
        self._watch(held)
        if held.handler is not None and held.handler.is_async:
            return asyncio.run(self._attempts.arun_alone(held))
        return self._attempts.run(held)

    def close(self) -> None:
        """End the processes that wait for another suspect."""
        with self._lock:
            kept, self._kept = self._kept, []
        for process in kept:
            process.end()

    def _reuse(self, order: Order) -> _IsolatedProcess | None:
        while True:
            with self._lock:
                process = self._kept.pop() if self._kept else None
            if process is None or process.give(order):
                return process
            process.end()

    def _keep(self, process: _IsolatedProcess) -> None:
        with self._lock:
            if len(self._kept) < _KEPT:
                self._kept.append(process)
                return
        process.end()

    def _follow(self, process: _IsolatedProcess, held: Held) -> Outcome | None:
        until = time.monotonic() + _STARTUP_LIMIT
        wants_connection = False
        process.whole = process.started = False
        process.closing = None
        while not held.dropped:
            if wants_connection and self._runtime.slots.grant(held):
                self._runtime.make_room()
                send(process.socket, Granted())
                wants_connection = False
            match receive_answer(process.socket, _LOOK_EVERY):
                case Started():
                    process.started = True
                    self._unborn.pop(held.name, None)
                    held.started_at = time.monotonic()
                    held.beat_at = None
                    if held.place is not None:
                        self._board.begin(held.place, held)
                        self._board.own_group(held, process.pid)
                    until = held.started_at + held.timeout if held.timeout is not None else float("inf")
                case Beat(details):
                    self._runtime.heartbeat(held, details)
                case Said(chunks):
                    self._runtime.relay(held, chunks)
                case Ask():
                    wants_connection = True
                case Closing() as closing:
                    process.closing = closing
                    held.made = closing.made
                    until = time.monotonic() + _TO_CLOSE
                case Answer(outcome, made):
                    process.whole = True
                    held.made = made
                    return outcome
                case None if process.is_gone:
                    # what it has forked may hold its socket open for ever
                    raise EOFError
            now = time.monotonic()
            if process.closing is not None:
                if now > until:
                    late = f"not done after {_TO_CLOSE:g}s"
                    events.emit(events.ResourceNotClosed(f"of {held.name}", late))
                    return process.closing.outcome
            elif process.started and (silence := silent(held, now)) is not None:
                held.silent_for = silence
                return tell(held, timed_out(held))
            elif now > until:
                if process.started:
                    return tell(held, timed_out(held))
                return self._not_up(held, f"a process for it did not come up within {_STARTUP_LIMIT:g} s")
        return Released("cancelled")


class _IsolatedProcess:
    """One process, with the group of whatever it has started.

    Attributes:
        socket: to talk to it.
        whole: it has answered its last order and waits for another.
        started: user code runs in it.
        closing: its handler is done, what it has opened is being closed.
    """

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.whole = self.started = False
        self.closing: Closing | None = None
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "tributary_daemon.daemon.isolated", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number, which is that of its group too."""
        return self._process.pid

    def give(self, order: Order) -> bool:
        """Tell it what to do; False when it is not there any more."""
        if self._process.poll() is not None:
            return False
        try:
            send(self.socket, order)
        except OSError:
            return False
        return True

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, and has said all that it had to say."""
        return self._process.poll() is not None and not select.select([self.socket], [], [], 0)[0]

    def last_code(self) -> int:
        """Return its exit code, now that its socket is closed."""
        try:
            return self._process.wait(_LAST_MOMENT)
        except subprocess.TimeoutExpired:
            return Exit.BROKEN

    def end(self) -> None:
        """Kill it with all that it has started, and reap it."""
        self.socket.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _died(held: Held, code: int) -> Outcome:
    if code == Exit.BROKEN:
        message = "the process that it ran alone in could not go on: the handler closed its file descriptors"
    else:
        message = f"the process that it ran alone in ended with {how(code)}"
    return _crashed(held, message, code)


def _crashed(held: Held, message: str, code: int | None) -> Outcome:
    record = ErrorRecord("ProcessDied", message, held.attempt, "crashed", exit_code=code)
    return tell(held, Crashed(record))
