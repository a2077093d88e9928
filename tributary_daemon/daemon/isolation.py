"""Handlers that asked for isolation: each attempt in a disposable process with a memory cap and a hard end.

This is the side of the process that holds the lease; `isolated` is the other one.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.engine.failures import retried, timed_out
from tributary_daemon.errors import TributaryError
from tributary_daemon.model.outcome import ErrorRecord, Outcome, Released

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.daemon.setup import ProcessSetup

_STARTUP_LIMIT: Final = 60.0
_LOOK_EVERY: Final = 0.1
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Order:
    """What the disposable process is to do."""

    setup: ProcessSetup
    held: Held
    memory: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """User code is about to run."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Progress, as JSON text."""

    details: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The attempt wants a connection of its own; answered by `Granted` once there is room."""


@dataclass(frozen=True, slots=True)
class Granted:
    """It may open one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The end; None when the attempt finished itself on its own connection."""

    outcome: Outcome | None


class Isolation:
    """Starts, watches and ends disposable processes.

    Args:
        setup: of the process that holds the leases.
        runtime: takes the progress of isolated attempts.
    """

    def __init__(self, setup: ProcessSetup, runtime: ProcessRuntime) -> None:
        self._setup = setup
        self._runtime = runtime

    def run(self, held: Held) -> Outcome | None:
        """Run one attempt to its end, its timeout, its cancellation or its death."""
        assert held.handler is not None
        if held.reads_progress:
            # read here, so that the disposable process needs no connection for it
            self._runtime.context(held)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "tributary_daemon.daemon.isolated", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            with ours:
                # the handler is found again by its name over there: functions do not travel
                send(ours, Order(self._setup, replace(held, handler=None), held.handler.memory))
                return self._follow(ours, held)
        except (EOFError, OSError):
            return _died(held, process.wait())
        finally:
            # also what the handler itself has started
            _kill_group(process.pid)
            process.wait()
            self._runtime.slots.free(held)

    def _follow(self, end: socket.socket, held: Held) -> Outcome | None:
        deadline = time.monotonic() + _STARTUP_LIMIT
        started = asked = False
        while not held.dropped:
            if asked and self._runtime.slots.grant(held):
                self._runtime.make_room()
                send(end, Granted())
                asked = False
            message = receive(end, _LOOK_EVERY)
            match message:
                case Started():
                    started = True
                    held.started_at = time.monotonic()
                    deadline = held.started_at + held.timeout if held.timeout is not None else float("inf")
                case Beat(details):
                    self._runtime.heartbeat(held, details)
                case Ask():
                    asked = True
                case Answer(outcome):
                    return outcome
            if time.monotonic() > deadline:
                return timed_out(held) if started else _died(held, None)
        return Released("cancelled")


def _died(held: Held, code: int | None) -> Outcome:
    if code is None:
        how = f"the isolated process did not come up within {_STARTUP_LIMIT:g} s"
    elif code < 0:
        how = f"the isolated process was killed by signal {-code} ({signal.Signals(-code).name})"
    else:
        how = f"the isolated process ended with exit code {code} before the handler returned"
    record = ErrorRecord("ProcessDied", how, held.attempt, "crashed", exit_code=code)
    return retried(record, TributaryError(how), held)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def send(end: socket.socket, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message)
    end.sendall(_LENGTH.pack(len(data)) + data)


def receive(end: socket.socket, patience: float | None) -> Any:
    """Return the next message; None when none has begun to come within ``patience`` seconds.

    Raises:
        EOFError: the other side is gone.
    """
    end.settimeout(patience)
    try:
        head = end.recv(_LENGTH.size, socket.MSG_WAITALL)
    except TimeoutError:
        return None
    end.settimeout(None)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = b""
    while len(data) < length:
        more = end.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return pickle.loads(data)  # noqa: S301 - from our own child, which runs with our own rights
