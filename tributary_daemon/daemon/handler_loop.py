"""The event loop of a process, in a thread of its own: async handlers run here and nowhere else."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from tributary_daemon.engine.failures import record, retried

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Any

    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome

_LAST_WORDS: Final = 10.0


class HandlerLoop:
    """Runs async handlers.

    Args:
        slots: how many run at once.
        run: executes one lease; returns its outcome, None when there is nothing left to write.
        report: takes the outcome; called in the loop's thread, once per lease.
        board: where it notes what runs.
        places: those on the board that are the loop's.
    """

    def __init__(
        self,
        slots: int,
        run: Callable[[Held], Coroutine[Any, Any, Outcome | None]],
        report: Callable[[Held, Outcome | None], None],
        board: Board,
        places: range,
    ) -> None:
        self._slots = slots
        self._board = board
        self._places = list(places)
        self._run = run
        self._report = report
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._free: asyncio.Semaphore | None = None
        # a lease is either started here or taken back by the database thread
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="handler-loop", daemon=True)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""
        return self._loop

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Cancel what runs and end the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)

    def put(self, leases: Sequence[Held]) -> None:
        """Start leases, in this order as slots become free."""
        self._loop.call_soon_threadsafe(self._spawn, list(leases))

    def take_back(self, leases: Iterable[Held]) -> list[Held]:
        """Return those of the leases that have not started; they will not, and are reported all the same."""
        taken = []
        with self._lock:
            for held in leases:
                if held.started_at is None and not held.recalled:
                    held.recalled = True
                    taken.append(held)
        return taken

    def cancel(self, held: Held) -> None:
        """Cancel the task of a lease; nothing happens when it has ended."""
        self._loop.call_soon_threadsafe(self._cancel, id(held))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._free = asyncio.Semaphore(self._slots)
        self._loop.run_forever()
        # only where the process lives on (a worker inside the caller's): what was left to run ends here
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=_LAST_WORDS))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _spawn(self, leases: list[Held]) -> None:
        for held in leases:
            key = id(held)
            task = self._loop.create_task(self._attempt(held))
            self._tasks[key] = task
            task.add_done_callback(partial(self._forget, key))

    def _forget(self, key: int, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)

    def _cancel(self, key: int) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    async def _attempt(self, held: Held) -> None:
        outcome: Outcome | None = None
        try:
            assert self._free is not None
            async with self._free:
                if self._begin(held):
                    place = self._places.pop()
                    try:
                        self._board.begin(place, held)
                        outcome = await self._run(held)
                    finally:
                        self._board.end(held)
                        self._places.append(place)
        except asyncio.CancelledError:
            # cancelled while it waited for its slot; whoever did that does not wait for an outcome
            outcome = None
        except Exception as error:  # noqa: BLE001 - a lease without a report would be held for ever
            outcome = retried(record(error, held, reason="internal"), error, held)
        self._report(held, outcome)

    def _begin(self, held: Held) -> bool:
        with self._lock:
            if held.dropped or held.recalled:
                return False
            held.started_at = time.monotonic()
            return True
