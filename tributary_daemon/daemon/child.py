"""A child process of a supervisor: ``python -m tributary_daemon.daemon.child CONTROL BOARD``."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.daemon.board import Board, places
from tributary_daemon.daemon.core import ProcessCore
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.offers import offered
from tributary_daemon.daemon.settlement import end_groups
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.daemon.signs import Signs
from tributary_daemon.hooks.loading import loaded
from tributary_daemon.observers import logs, subscribers, tracing

if TYPE_CHECKING:
    from types import FrameType

_ORPHAN_GRACE: Final = 5.0
_DEAF: Final = 1.5


class Child:
    """Listens to its supervisor and runs one `ProcessCore`.

    Messages are lines of JSON over a socket pair. In: the setup, then start, wake, check, pause, resume,
    unhold, drain, exit. Out: offer (what its modules hold), ready, sign (life, and whether it is saturated),
    retiring.

    Args:
        control: its end of the socket pair.
        board: number of the board's file.
    """

    def __init__(self, control: socket.socket, board: int) -> None:
        self._control = control
        self._identity = os.fstat(control.fileno()).st_ino
        self._board_fd = board
        self._board: Board | None = None
        self._lock = threading.Lock()
        self._orphaned = False
        self._core: ProcessCore | None = None

    def run(self) -> None:
        """Serve until told to stop, drained, or orphaned; never returns."""
        lines = self._control.makefile("r", encoding="utf-8")
        setup = ProcessSetup.load(lines.readline())
        sys.path[:] = [*setup.path, *(entry for entry in sys.path if entry not in setup.path)]
        logs.configure(setup.log_format, setup.log_level)
        subscribers.start(setup.observers)
        offer = offered(
            setup.imports, enable_shell=setup.enable_shell, directory=setup.directory,
            hooks=loaded(setup.hooks),
        )  # fmt: skip
        # what modules of handlers have set up is known by now, and what it imports is spared, too
        tracing.start()
        _spare_the_collector()
        self.send({"say": "offer", "handlers": offer.describe(), "failures": offer.failures})
        try:
            for line in lines:
                message = json.loads(line)
                if message["do"] == "start":
                    started = setup.started(
                        message["process_id"], message["names"], message["shards"],
                        holds_bounded=message["holds_bounded"], paused=message["paused"],
                    )  # fmt: skip
                    self._board = Board(places(setup.slots), fd=self._board_fd, queues=setup.claimed)
                    self._core = ProcessCore(
                        started, offer.registry, sign=self._signs(setup.silence_limit).give,
                        ended=self._ended, retiring=self._retiring, board=self._board, disposable=True,
                    )  # fmt: skip
                    self._core.start()
                    self.send({"say": "ready", "pid": os.getpid()})
                    self._core.wake()
                else:
                    self._obey(message)
        except (OSError, ValueError):
            # the socket was closed under us, or its number given to something else
            self._look_at_control()
        # the supervisor is gone: its beats stop, so the leases end; finish quickly what runs
        self._orphaned = True
        events.emit(events.SupervisorLost(process=setup.label))
        if self._core is not None:
            self._core.drain()
            self._core.join(_ORPHAN_GRACE)
        self._leave(Exit.ORPHANED)

    def drain(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle a SIGTERM that was sent to this process alone."""
        if self._core is not None:
            self._core.drain()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the supervisor; a supervisor that is gone is noticed by the reading side."""
        with self._lock:
            self._look_at_control()
            try:
                self._control.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                self._orphaned = True

    def _signs(self, silence_limit: float) -> Signs:
        """Return signs that also wind up a clock outside of the interpreter.

        A handler that holds the interpreter for good keeps this process from hearing anything, its
        supervisor's end included. Then the clock writes down where it hangs and ends the process.
        """

        def say(message: dict[str, Any]) -> None:
            faulthandler.dump_traceback_later(_DEAF * silence_limit, exit=True)
            self.send(message)

        return Signs(say)

    def _look_at_control(self) -> None:
        """End this process if a handler has closed its file descriptors: nothing here works any more."""
        try:
            whole = os.fstat(self._control.fileno()).st_ino == self._identity
        except OSError:
            whole = False
        if not whole:
            events.emit(events.ProcessFailed(error="a handler closed the file descriptors of its process"))
            self._leave(Exit.BROKEN)

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "exit":
                self._leave(Exit.DRAINED)
            case "drain" if self._core is None:
                self._leave(Exit.DRAINED)
            case what if self._core is not None:
                self._core.obey(what)

    def _retiring(self) -> None:
        self.send({"say": "retiring"})

    def _ended(self, reason: Exit) -> None:
        self._leave(Exit.ORPHANED if self._orphaned else reason)

    def _leave(self, reason: Exit) -> None:
        if self._board is not None:
            self._board.part(reason)
            if reason == Exit.ORPHANED:
                # nobody is left who would: a shell step must not run beside its next attempt
                end_groups(self._board.entries())
        subscribers.close()
        tracing.flush()
        leave(reason)


def leave(reason: Exit) -> None:
    """End this process now: daemon threads may hold handlers that never return."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # nobody reads it any more
            continue
    os._exit(reason)


def _spare_the_collector() -> None:
    """Keep what was imported out of the garbage collector's way, and let it run every 10,000 objects.

    A claim brings hundreds of leases, none of them in a cycle: by default each brings several collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, *gc.get_threshold()[1:])


def main() -> None:
    """Run a child on the socket and the board whose numbers are the arguments."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # a process that a handler leaves behind must not keep the supervisor from noticing our end
    control.set_inheritable(False)
    os.set_inheritable(int(sys.argv[2]), False)
    # native crashes say where they happened, and so does whoever is asked by SIGUSR1 before it is killed
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    child = Child(control, int(sys.argv[2]))
    # Ctrl-C goes to the whole group; the supervisor decides what it means. A function, not SIG_IGN: shell
    # steps would inherit that.
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    signal.signal(signal.SIGTERM, child.drain)
    child.run()


if __name__ == "__main__":
    main()
