"""The crew of a process: its handler threads, its loop, and the clock that holds them to their limits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tributary_daemon.daemon.deadlines import Deadlines
from tributary_daemon.daemon.handler_loop import HandlerLoop
from tributary_daemon.daemon.inbox import Finished
from tributary_daemon.daemon.threads import HandlerThreads, interrupt
from tributary_daemon.errors import StepCancelled
from tributary_daemon.model.states import Kind

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Any

    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.daemon.telling import Telling
    from tributary_daemon.model.outcome import Outcome


class Crew:
    """Runs leases; reports each outcome to the inbox.

    Args:
        slots: steps that run at once.
        run: runs one lease in a thread.
        arun: runs one lease in the loop.
        inbox: of the database thread.
        board: of the process; threads have its first ``slots`` places, the loop has the others.
        on_overdue: called when a thread ignored a limit for two seconds, or an async handler for ten: this
            process has to be replaced.
        telling: tells of attempts; None where nobody wants to be told.
    """

    def __init__(
        self,
        slots: int,
        run: Callable[[Held], Outcome | None],
        arun: Callable[[Held], Coroutine[Any, Any, Outcome | None]],
        inbox: Inbox,
        board: Board,
        *,
        on_overdue: Callable[[Held], None],
        telling: Telling | None = None,
    ) -> None:
        self._inbox = inbox
        self._telling = telling
        self._threads = HandlerThreads(slots, run, self._report, board, telling)
        arun = arun if telling is None else telling.awatched(arun)
        self._loop = HandlerLoop(slots, arun, self._report, board, range(slots, 2 * slots))
        self._deadlines = Deadlines(self._loop.cancel, on_overdue, board.tick)

    def start(self) -> None:
        """Start threads, loop and clock."""
        self._threads.start()
        self._loop.start()
        self._deadlines.start()

    @property
    def loop(self) -> AbstractEventLoop:
        """The loop of async handlers."""
        return self._loop.loop

    def stop_all(self) -> None:
        """End threads, loop and clock; what still runs is left to the end of the process."""
        self._threads.stop()
        self._loop.stop()
        self._deadlines.stop()

    def give(self, leases: Sequence[Held]) -> None:
        """Run these leases as slots become free."""
        if self._telling is not None:
            self._telling.mark(leases)
        threads = [held for held in leases if not held.in_loop]
        if len(threads) != len(leases):
            self._loop.put([held for held in leases if held.in_loop])
        self._deadlines.add(leases)
        self._threads.put(threads)

    def watch(self, held: Held) -> None:
        """Hold a lease to its limits that was given as an isolated one and runs here after all."""
        self._deadlines.add([held])

    def take_back(self, held: Iterable[Held]) -> list[Held]:
        """Return those of the held leases that have not started; they will not start."""
        return self._threads.take_back() + self._loop.take_back(item for item in held if item.in_loop)

    def stop(self, held: Held) -> None:
        """Tell whoever runs this lease that it is in vain."""
        if held.in_loop:
            self._loop.cancel(held)
        elif not held.isolated:
            # whoever waits for an isolated process looks for itself
            interrupt(held, StepCancelled)

    def wants_facts(self, held: Held) -> bool:
        """Return whether a lease's surroundings are needed before it starts."""
        if held.control:
            return True
        if held.durable:
            # its history, and the time
            return True
        if held.kind != Kind.STEP or held.handler is None:
            return False
        # a sync handler can ask for them itself; an async one would block its loop
        return held.dynamic or (held.in_loop and held.handler.signature.step_name is not None)

    def _report(self, held: Held, outcome: Outcome | None) -> None:
        if held.lines is None:
            self._inbox.put(Finished(held, outcome))
        else:
            # whoever sees the end of an attempt finds what it has said
            held.lines.end(partial(self._inbox.put, Finished(held, outcome)))
