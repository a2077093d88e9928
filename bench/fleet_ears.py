"""The LISTEN connections of a crowd: real ones, read by one thread."""

from __future__ import annotations

import selectors
import threading
from typing import TYPE_CHECKING

from tributary_daemon.store.notify import WAKE, Listener

if TYPE_CHECKING:
    from typing import Self

    from bench.fleet_crowd import Crowd, Lane, Worker


class Ears:
    """A listener for each worker of a crowd; wake-ups are passed on to its lane.

    Args:
        url: of the database.
        crowd: whose workers hear.

    Attributes:
        heard: wake-ups that arrived, each at one worker.
    """

    def __init__(self, url: str, crowd: Crowd) -> None:
        self.heard = 0
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        for lane, worker in crowd.workers:
            listener = Listener(url, "fleet listen")
            if not listener.ensure():
                raise RuntimeError(f"it does not listen: {listener.failure}")
            worker.ears = listener
            descriptor = listener.fileno()
            assert descriptor is not None
            self._selector.register(descriptor, selectors.EVENT_READ, (lane, worker))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.data[1].ears.close()
        self._selector.close()

    def check(self) -> None:
        """Make sure that it goes on.

        Raises:
            RuntimeError: it has ended.
        """
        if self._failure is not None:
            raise RuntimeError("the ears have ended") from self._failure

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                for key, _ in self._selector.select(0.2):
                    self._take(*key.data)
        except BaseException as error:  # noqa: BLE001 - check() raises it
            self._failure = error

    def _take(self, lane: Lane, worker: Worker) -> None:
        assert worker.ears is not None
        notes = sum(channel == WAKE for channel, _ in worker.ears.receive())
        self.heard += notes
        if notes:
            lane.wake(worker, notes)
