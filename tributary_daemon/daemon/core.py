"""One process of a worker, whether it is a child of a supervisor or lives in the caller's own process."""

from __future__ import annotations

import threading
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.crew import Crew
from tributary_daemon.daemon.database import DatabaseThread, Fenced
from tributary_daemon.daemon.inbox import Check, Drain, Inbox, Wake
from tributary_daemon.daemon.isolation import Isolation
from tributary_daemon.daemon.runtime import ProcessRuntime
from tributary_daemon.daemon.slots import ConnectionSlots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.handlers.registry import Registry
    from tributary_daemon.model.outcome import Outcome

NEIGHBOURS: Final = 10.0
"""Seconds that the neighbours of a stuck thread get before their process is replaced."""


class Exit(IntEnum):
    """Why a process ended, as its exit code."""

    DRAINED = 0
    FAILED = 70
    FENCED = 71
    RETIRED = 72
    ORPHANED = 73


class ProcessCore:
    """Claims, runs and finishes steps until it is drained.

    Args:
        setup: of the process.
        registry: handlers by name.
        sign: called by the database thread once per turn, with whether it is saturated.
        ended: called once, from the database thread, with the reason.
    """

    def __init__(
        self,
        setup: ProcessSetup,
        registry: Registry,
        *,
        sign: Callable[[bool], None],
        ended: Callable[[Exit], None],
    ) -> None:
        self._inbox = Inbox()
        self._ended = ended
        self._reason = Exit.DRAINED
        self._runtime = ProcessRuntime(
            setup.url, setup.process_id, self._inbox, ConnectionSlots(setup.step_connections)
        )
        self._attempts = Attempts(self._runtime)
        self._isolation = Isolation(setup, self._runtime)
        self._crew = Crew(setup.slots, self._attempt, self._attempts.arun, self._inbox, self._stuck)
        self._database = DatabaseThread(setup, registry, self._inbox, self._crew, sign)
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)

    def start(self) -> None:
        """Start claiming."""
        self._crew.start()
        self._thread.start()

    def wake(self) -> None:
        """There may be work."""
        self._inbox.put(Wake())

    def check(self) -> None:
        """Something held may have been cancelled."""
        self._inbox.put(Check())

    def drain(self) -> None:
        """Claim nothing new, finish what runs, then end."""
        self._inbox.put(Drain())

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when ``timeout`` seconds were not enough."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _attempt(self, held: Held) -> Outcome | None:
        return self._isolation.run(held) if held.isolated else self._attempts.run(held)

    def _run(self) -> None:
        try:
            self._database.run()
        except Fenced:
            self._reason = Exit.FENCED
        except BaseException as error:
            self._reason = Exit.FAILED
            events.emit(events.ProcessFailed(error=repr(error)))
            raise
        finally:
            self._crew.stop_all()
            self._runtime.close()
            self._ended(self._reason)

    def _stuck(self, held: Held) -> None:
        """A thread ignored its timeout: finish the neighbours, then end, finished or not."""
        if self._reason is Exit.RETIRED:
            return
        self._reason = Exit.RETIRED
        events.emit(events.ProcessRetired(name=held.name, run_id=held.run_id))
        self.drain()
        threading.Thread(target=self._give_up, name="retire", daemon=True).start()

    def _give_up(self) -> None:
        deadline = time.monotonic() + NEIGHBOURS
        while time.monotonic() < deadline and self._thread.is_alive():
            self._thread.join(0.2)
        if self._thread.is_alive():
            self._ended(Exit.RETIRED)
