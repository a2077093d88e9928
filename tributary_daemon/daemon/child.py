"""A child process of a supervisor: ``python -m tributary_daemon.daemon.child FD``."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.daemon.core import Exit, ProcessCore
from tributary_daemon.daemon.offers import offered
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.daemon.signs import Signs
from tributary_daemon.observers import logs

if TYPE_CHECKING:
    from types import FrameType

_ORPHAN_GRACE: Final = 5.0


class Child:
    """Listens to its supervisor and runs one `ProcessCore`.

    Messages are lines of JSON over a socket pair. In: the setup, then start, wake, check, drain, exit.
    Out: offer (what its modules hold), ready, sign (life, and whether it is saturated).
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._orphaned = False
        self._core: ProcessCore | None = None

    def run(self) -> None:
        """Serve until told to stop, drained, or orphaned; never returns."""
        lines = self._control.makefile("r", encoding="utf-8")
        setup = ProcessSetup.load(lines.readline())
        sys.path[:] = [*setup.path, *(entry for entry in sys.path if entry not in setup.path)]
        logs.configure(setup.log_format, setup.log_level)
        offer = offered(setup.imports, enable_shell=setup.enable_shell, directory=setup.directory)
        self.send({"say": "offer", "handlers": offer.describe(), "failures": offer.failures})
        for line in lines:
            message = json.loads(line)
            if message["do"] == "start":
                started = setup.started(message["process_id"], message["names"], message["shards"])
                signs = Signs(self.send)
                self._core = ProcessCore(started, offer.registry, sign=signs.give, ended=self._ended)
                self._core.start()
                self.send({"say": "ready", "pid": os.getpid()})
                self._core.wake()
            else:
                self._obey(message)
        # the supervisor is gone: its beats stop, so the leases end; finish quickly what runs
        self._orphaned = True
        events.emit(events.SupervisorLost(process=setup.label))
        if self._core is not None:
            self._core.drain()
            self._core.join(_ORPHAN_GRACE)
        leave(Exit.ORPHANED)

    def drain(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle a SIGTERM that was sent to this process alone."""
        if self._core is not None:
            self._core.drain()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the supervisor; a supervisor that is gone is noticed by the reading side."""
        with self._lock:
            try:
                self._control.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                self._orphaned = True

    def _obey(self, message: dict[str, Any]) -> None:
        match message["do"]:
            case "exit":
                leave(Exit.DRAINED)
            case "drain" if self._core is None:
                leave(Exit.DRAINED)
            case "drain" if self._core is not None:
                self._core.drain()
            case "wake" if self._core is not None:
                self._core.wake()
            case "check" if self._core is not None:
                self._core.check()

    def _ended(self, reason: Exit) -> None:
        leave(Exit.ORPHANED if self._orphaned else reason)


def leave(reason: Exit) -> None:
    """End this process now: daemon threads may hold handlers that never return."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # nobody reads it any more
            continue
    os._exit(reason)


def main() -> None:
    """Run a child on the socket whose number is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # a process that a handler leaves behind must not keep the supervisor from noticing our end
    control.set_inheritable(False)
    child = Child(control)
    # Ctrl-C goes to the whole group; the supervisor decides what it means. A function, not SIG_IGN: shell
    # steps would inherit that.
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    signal.signal(signal.SIGTERM, child.drain)
    child.run()


if __name__ == "__main__":
    main()
