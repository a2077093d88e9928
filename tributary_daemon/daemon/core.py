"""One process of a worker, whether it is a child of a supervisor or lives in the caller's own process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.config.secrets import Secrets
from tributary_daemon.config.values import OFF
from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.board import Board, places
from tributary_daemon.daemon.caching import Caching
from tributary_daemon.daemon.closing import close_within
from tributary_daemon.daemon.crew import Crew
from tributary_daemon.daemon.database import DatabaseThread, Fenced
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.inbox import (
    HELP,
    SERVE,
    Check,
    Drain,
    Finished,
    GivenUp,
    Inbox,
    Message,
    Pause,
    Serve,
    Unhold,
    Wake,
)
from tributary_daemon.daemon.isolation import Isolation
from tributary_daemon.daemon.line_writer import writer_of
from tributary_daemon.daemon.runtime import ProcessRuntime
from tributary_daemon.daemon.slots import ConnectionSlots
from tributary_daemon.daemon.span_looks import SpanLooks
from tributary_daemon.daemon.telling import Teller, Telling
from tributary_daemon.engine.executor import tell
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.hooks.loading import loaded
from tributary_daemon.model.outcome import Completed, Discarded
from tributary_daemon.observers import subscribers, tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.daemon.telling import Watcher
    from tributary_daemon.handlers.registry import Registry
    from tributary_daemon.model.outcome import Outcome

NEIGHBOURS: Final = 10.0
"""Seconds that the neighbours of a stuck thread get before their process is replaced."""

_MESSAGES: Final[dict[str, Message]] = {
    "wake": Wake(),
    "check": Check(),
    "pause": Pause(paused=True),
    "resume": Pause(paused=False),
    "unhold": Unhold(),
    "drain": Drain(),
}


class ProcessCore:
    """Claims, runs and finishes steps until it is drained.

    Args:
        setup: of the process.
        registry: handlers by name.
        sign: called by the database thread once per turn, with whether it is saturated and what is wrong with
            the database.
        ended: called once, from the database thread, with the reason.
        retiring: called once if this process is to be replaced, before it has finished what runs.
        board: where it notes what runs; of its own if omitted.
        disposable: this process can be ended to end an attempt; what ignored its timeout is recorded by
            whoever does that. Otherwise it is recorded here, and its thread is left to itself.
    """

    def __init__(
        self,
        setup: ProcessSetup,
        registry: Registry,
        *,
        sign: Callable[[bool, str | None], None],
        ended: Callable[[Exit], None],
        retiring: Callable[[], None],
        board: Board | None = None,
        disposable: bool = False,
    ) -> None:
        self._inbox = Inbox()
        self._sign = sign
        self._patience = setup.drain_timeout
        self._ended = ended
        self._retiring = retiring
        self._reason = Exit.DRAINED
        self._disposable = disposable
        self._board = board or Board(places(setup.slots), queues=setup.claimed)
        self._writer = writer_of(setup)
        self._runtime = ProcessRuntime(
            setup.url, setup.process_id, self._inbox, ConnectionSlots(setup.step_connections), self._board,
            writer=self._writer, keys=setup.ring,
        )  # fmt: skip
        self._caching = (
            None
            if setup.cache == OFF
            else Caching(
                setup.cache,
                setup.url,
                setup.shards,
                setup.cache_timeout,
                keys=setup.ring,
                namespace=setup.cache_namespace,
            )
        )
        self._hooks = loaded(setup.hooks, loop=lambda: self._crew.loop)
        self._host = Host(lambda: setup.url, setup.label, "worker")
        self._attempts = Attempts(
            self._runtime, Secrets(setup.secrets_dir), caching=self._caching, hooks=self._hooks
        )
        self._traced = tracing.start()
        self._isolation = Isolation(
            setup, self._attempts, self._runtime, self._board, watch=self._watch,
            traceparent=lambda: None if self._traced is None else self._traced.traceparent(),
        )  # fmt: skip
        self._span_looks: SpanLooks | None = None
        watchers = self._watchers(setup)
        self._crew = Crew(
            setup.slots,
            self._attempt,
            self._attempts.arun,
            self._inbox,
            self._board,
            on_overdue=self._overdue,
            telling=Telling(watchers) if watchers else None,
        )
        self._database = DatabaseThread(setup, registry, self._inbox, self._crew, self._board, sign=sign)
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)

    def start(self) -> None:
        """Start claiming."""
        if self._hooks is not None:
            self._hooks.open(self._host)
        self._crew.start()
        self._thread.start()

    def obey(self, do: str) -> None:
        """Do what a supervisor says: wake, check, pause, resume, unhold, drain, serve 0,3 or help 0,3.

        wake: there may be work; check: something held may have been cancelled; pause: claim nothing until
        resume, what runs goes on; unhold: claim from queues with slots too; drain: claim nothing new,
        finish what runs, then end; serve and help: claim from these shards, and as help also what has been
        left lying in others.
        """
        message = _MESSAGES.get(do)
        if message is not None:
            self._inbox.put(message)
        elif do.startswith((SERVE, HELP)):
            word, _, numbers = do.partition(" ")
            shards = frozenset(int(number) for number in numbers.split(",") if number)
            self._inbox.put(Serve(shards, helps=f"{word} " == HELP))

    def wake(self) -> None:
        """There may be work."""
        self.obey("wake")

    def drain(self) -> None:
        """Claim nothing new, finish what runs, then end."""
        self.obey("drain")

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when ``timeout`` seconds were not enough."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _attempt(self, held: Held) -> Outcome | None:
        if not held.isolated:
            return self._attempts.run(held)
        # secrets are this process's: the other one gets what it needs of them
        refused = self._attempts.prepare(held)
        if refused is not None:
            return refused
        outcome = self._isolation.run(held)
        if held.cache_key is not None:
            self._attempts.keep(held, None if held.made is None else Completed(held.made), outcome)
        return outcome

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
            self._close_resources()
            self._crew.stop_all()
            self._isolation.close()
            self._runtime.close()
            if self._caching is not None:
                self._caching.close()
            if self._writer is not None:
                self._writer.close()
            if self._span_looks is not None:
                self._span_looks.close()
            self._ended(self._reason)

    def _close_resources(self) -> None:
        """Close what handlers share, unless others work already on what still runs here."""
        pool = self._attempts.pool
        if self._disposable and self._reason in (Exit.FENCED, Exit.FAILED):
            return
        if not pool.is_empty:
            close_within(pool, self._patience, lambda: self._sign(False, None))
        if self._hooks is not None:
            self._hooks.close_within(self._patience)

    def _watchers(self, setup: ProcessSetup) -> list[Watcher]:
        """Return who wants to be told of each attempt; mostly nobody does."""
        found: list[Watcher] = [Teller()] if subscribers.anybody() else []
        if self._traced is None:
            return found
        if self._traced.spans is not None:
            self._span_looks = SpanLooks(setup, self._traced.spans.tell)
            self._traced = self._traced.noting(self._span_looks.note)
        return [*found, self._traced]

    def _watch(self, held: Held) -> None:
        self._crew.watch(held)

    def _overdue(self, held: Held) -> None:
        """An attempt ignored its limit: finish the neighbours, then end, finished or not."""
        outcome = timed_out(held)
        if self._disposable:
            # nothing is recorded while it may still run: its next attempt must not start beside it
            silence = held.silent_for
            self._board.overdue(
                held, silence if silence is not None else held.timeout or 0.0, silent=silence is not None,
                final=isinstance(outcome, Discarded),
            )  # fmt: skip
            self._inbox.put(GivenUp(held))
        else:
            self._inbox.put(Finished(held, tell(held, outcome)))
        if self._reason is Exit.RETIRED:
            return
        self._reason = Exit.RETIRED
        events.emit(events.ProcessRetired(name=held.name, run_id=held.run_id))
        self._retiring()
        self.drain()
        threading.Thread(target=self._give_up, name="retire", daemon=True).start()

    def _give_up(self) -> None:
        deadline = time.monotonic() + NEIGHBOURS
        while time.monotonic() < deadline and self._thread.is_alive():
            self._thread.join(0.2)
        if self._thread.is_alive():
            self._ended(Exit.RETIRED)
