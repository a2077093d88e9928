"""A process as its supervisor sees it: a child of its own, or a core inside the caller's process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from tributary_daemon.daemon.board import Board, anonymous, places, size_of
from tributary_daemon.daemon.core import ProcessCore
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.signs import Signs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.daemon.offers import Offer
    from tributary_daemon.daemon.setup import ProcessSetup

_TO_WRITE: Final = 0.1
_TO_DIE: Final = 2.0
_REPEATED: Final = frozenset({"wake", "check"})


class Member(Protocol):
    """One process of a worker.

    Attributes:
        setup: what it was told.
        number: its place among its siblings, from 0.
        process_id: its row; 0 until it was started.
        started_at: monotonic seconds.
        signed_at: monotonic seconds of its last sign of life.
        saturated: whether it found as much work as it could take.
        trouble: why the database does not serve it; None while all is well.
        draining: it was told to drain.
        ready: it claims.
        board: what runs in it.
    """

    setup: ProcessSetup
    number: int
    process_id: int
    started_at: float
    signed_at: float
    saturated: bool
    trouble: str | None
    draining: bool
    ready: bool
    board: Board

    @property
    def pid(self) -> int: ...

    @property
    def hung_up(self) -> bool: ...

    def fileno(self) -> int: ...

    def start(
        self, process_id: int, names: Iterable[str], shards: int, *, holds_bounded: bool, paused: bool
    ) -> None: ...

    def ask(self) -> None: ...

    def send(self, do: str) -> None: ...

    def messages(self) -> list[dict[str, Any]]: ...

    def exit_code(self) -> int | None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class _Pipe:
    """The supervisor's end of a member's socket pair: lines of JSON, never blocking."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.end.setblocking(False)
        self._rest = b""
        self._unsent = b""
        self.hung_up = False

    def messages(self) -> list[dict[str, Any]]:
        while True:
            try:
                data = self.end.recv(65_536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.hung_up = True
                break
            self._rest += data
        self._flush()
        *lines, self._rest = self._rest.split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            # a handler has written into the socket: nothing that comes from it can be believed
            self.hung_up = True
            return []

    def send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        # a member that does not read would be told the same again and again
        if message.get("do") not in _REPEATED or line not in self._unsent:
            self._unsent += line
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.end.send(self._unsent) :]
        except BlockingIOError:
            # it does not read at the moment; the rest follows with its next sign of life
            pass
        except OSError:
            # its end is closed: its exit is noticed elsewhere
            self._unsent = b""


class ChildMember:
    """A child process."""

    def __init__(self, setup: ProcessSetup, number: int) -> None:
        self.setup = setup
        self.number = number
        self.process_id = 0
        self.saturated = False
        self.trouble: str | None = None
        self.draining = False
        self.started_at = self.signed_at = time.monotonic()
        self.ready = False
        with ExitStack() as opened:
            ours, theirs = socket.socketpair()
            opened.callback(theirs.close)
            kept = opened.enter_context(ExitStack())
            kept.callback(ours.close)
            fd = anonymous(size_of(places(setup.slots), setup.claimed))
            opened.callback(os.close, fd)
            self.board = Board(places(setup.slots), fd=fd, queues=setup.claimed)
            kept.callback(self.board.close)
            numbers = [theirs.fileno(), fd]
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "tributary_daemon.daemon.child", *map(str, numbers)],
                pass_fds=numbers,
                stdin=subprocess.DEVNULL,
            )
            # only what a failed start would leave behind is closed
            kept.pop_all()
        self._pipe = _Pipe(ours)
        self._pipe.send(setup.to_json())

    @property
    def pid(self) -> int:
        """Process id of the operating system."""
        return self._process.pid

    @property
    def hung_up(self) -> bool:
        """Whether nothing can be heard from it any more."""
        return self._pipe.hung_up

    def fileno(self) -> int:
        """File number of the control socket."""
        return self._pipe.end.fileno()

    def start(
        self, process_id: int, names: Iterable[str], shards: int, *, holds_bounded: bool, paused: bool
    ) -> None:
        """Let it claim."""
        self.process_id = process_id
        self._pipe.send({
            "do": "start", "process_id": process_id, "names": list(names), "shards": shards,
            "holds_bounded": holds_bounded, "paused": paused,
        })  # fmt: skip

    def send(self, do: str) -> None:
        """Tell it to wake, check, pause, resume, unhold, drain or exit."""
        self.draining = self.draining or do == "drain"
        self._pipe.send({"do": do})

    def messages(self) -> list[dict[str, Any]]:
        """Return what it has said since the last call."""
        return self._pipe.messages()

    def exit_code(self) -> int | None:
        """Return its exit code once it has ended (negative: the signal), and reap it."""
        return self._process.poll()

    def ask(self) -> None:
        """Let it write down where its threads are; even one that holds the interpreter can."""
        if self.ready and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGUSR1)
            # the dump is written within a signal handler; what follows is a SIGKILL
            time.sleep(_TO_WRITE)

    def kill(self) -> None:
        """Kill and reap it."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        # one that the kernel does not let die is reaped later
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_DIE)

    def close(self) -> None:
        """Close the control socket and the board."""
        self._pipe.end.close()
        self.board.close()


class LocalMember:
    """A core in the caller's own process; it cannot be killed, only drained."""

    def __init__(self, setup: ProcessSetup, number: int, offer: Offer) -> None:
        self.setup = setup
        self.number = number
        self.process_id = 0
        self.saturated = False
        self.trouble: str | None = None
        self.draining = False
        self.started_at = self.signed_at = time.monotonic()
        self.ready = False
        self.board = Board(places(setup.slots), queues=setup.claimed)
        self._offer = offer
        self._exit: Exit | None = None
        self._core: ProcessCore | None = None
        ours, self._theirs = socket.socketpair()
        self._pipe = _Pipe(ours)
        self._say({"say": "offer", "handlers": offer.describe(), "failures": offer.failures})

    @property
    def pid(self) -> int:
        """Process id of the operating system: the caller's own."""
        return os.getpid()

    @property
    def hung_up(self) -> bool:
        """Whether nothing can be heard from it any more."""
        return self._pipe.hung_up

    def fileno(self) -> int:
        """File number that becomes readable when there are messages."""
        return self._pipe.end.fileno()

    def start(
        self, process_id: int, names: Iterable[str], shards: int, *, holds_bounded: bool, paused: bool
    ) -> None:
        """Let it claim."""
        self.process_id = process_id
        if self._exit is not None:
            return
        setup = self.setup.started(process_id, names, shards, holds_bounded=holds_bounded, paused=paused)
        self._core = ProcessCore(
            setup,
            self._offer.registry,
            sign=Signs(self._say).give,
            ended=self._ended,
            retiring=self._retiring,
            board=self.board,
        )
        self._core.start()
        self._say({"say": "ready", "pid": os.getpid()})
        self._core.wake()

    def send(self, do: str) -> None:
        """Tell it to wake, check or drain."""
        if do in ("drain", "exit"):
            self.draining = True
        if self._core is None:
            if self.draining:
                self.board.part(Exit.DRAINED)
                self._exit = Exit.DRAINED
            return
        self._core.obey("drain" if do == "exit" else do)

    def messages(self) -> list[dict[str, Any]]:
        """Return what it has said since the last call."""
        return self._pipe.messages()

    def exit_code(self) -> int | None:
        """Return why it has ended, once it has."""
        return None if self._exit is None else int(self._exit)

    def ask(self) -> None:
        """Say nothing: the caller's process is not the worker's to signal."""

    def kill(self) -> None:
        """Stop waiting for it: it claims nothing any more, and its threads end with their handlers."""
        if self._exit is None:
            self.board.part(Exit.RETIRED)
            self._exit = Exit.RETIRED
            if self._core is not None:
                self._core.drain()

    def close(self) -> None:
        """Close the socket pair."""
        self._pipe.end.close()
        self._theirs.close()

    def _retiring(self) -> None:
        self._say({"say": "retiring"})

    def _ended(self, reason: Exit) -> None:
        self.board.part(reason)
        self._exit = reason
        self._say({"say": "ended"})

    def _say(self, message: dict[str, Any]) -> None:
        # perhaps nobody listens any more: the worker was stopped without waiting for this core
        with suppress(OSError):
            self._theirs.sendall(json.dumps(message).encode() + b"\n")
