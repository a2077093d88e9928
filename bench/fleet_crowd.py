"""A crowd of workers that exists in the database only: what many of them ask of it, over few connections.

The statements are the product's own, at its own times (`Supervisor`, `Maintenance`, `DatabaseThread`): a beat
a second, a look at the maintenance every two, and after a wake-up a look of one process, then of the others,
and three more of each. What workers have by themselves (processes, handlers) is left out.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.daemon.claiming import Claiming
from tributary_daemon.store import membership, session
from tributary_daemon.store.db import connect
from tributary_daemon.store.finishes import Ended
from tributary_daemon.store.leases import Leases
from tributary_daemon.store.membership import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.store.db import Connection, Row
    from tributary_daemon.store.notify import Listener

NAME: Final = "bench.noop.v1"
QUEUES: Final = ("default", "~closing")
BEAT: Final = 1.0
TICK: Final = 2.0
TIDY: Final = 5.0
SAMPLE: Final = 10.0
STAGGER: Final = 0.004
FEW: Final = 4
SPREAD: Final = 0.005
RESCANS: Final = (0.005, 0.02, 0.1)
_LEASE: Final = 10.0
_LEADS: Final = 6.0
_SILENT: Final = 60.0
_NOTIFY: Final = "select pg_notify(%s, '')"
_RANDOM: Final = Random()


@dataclass(slots=True)
class Process:
    """One simulated process: what the database thread of a real one keeps."""

    process_id: int
    claiming: Claiming
    held: int = 0
    ended: list[Ended] = field(default_factory=list)
    looks: int = 0
    deferred: float | None = None


@dataclass(slots=True)
class Worker:
    """One simulated worker."""

    worker_id: int
    processes: list[Process]
    attend_at: float
    turn: int = 0
    tidy_at: float = 0.0
    sample_at: float = 0.0
    poll: int = 0
    polled_at: float = 0.0
    told_at: float = 0.0
    looks_at: float = 0.0
    ears: Listener | None = None


class Lane(threading.Thread):
    """One connection, and the workers that share it: does what is due, in order.

    Attributes:
        took: kind of statement -> seconds of each round trip.
        late: seconds by which things were begun late: what the generator or the server did not keep up with.
        rows: claimed.
        failure: what ended it.
    """

    def __init__(self, url: str, crowd: Crowd) -> None:
        super().__init__(daemon=True)
        self.took: dict[str, list[float]] = {}
        self.late: list[float] = []
        self.rows = 0
        self.failure: BaseException | None = None
        self.workers: list[Worker] = []
        self.connection = connect(
            url, application_name="fleet", prepare_threshold=3, limits=session.OWN
        )  # as the product's own
        self._crowd = crowd
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._woken: deque[tuple[Worker, int]] = deque()
        self._ring = threading.Condition()
        self._over = False

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time; for this thread, or before it has begun."""
        heapq.heappush(self._due, (when, next(self._numbers), what))

    def wake(self, worker: Worker, notes: int) -> None:
        """A worker has heard notifications; for any thread."""
        with self._ring:
            self._woken.append((worker, notes))
            self._ring.notify()

    def forget(self) -> None:
        """Begin a new measurement."""
        self.took, self.late, self.rows = {}, [], 0

    def end(self) -> None:
        """End it; for any thread."""
        with self._ring:
            self._over = True
            self._ring.notify()

    def run(self) -> None:
        """Do what is due until it is ended."""
        try:
            while not self._over:
                with self._ring:
                    pause = self._due[0][0] - time.monotonic() if self._due else 1.0
                    if not self._woken and pause > 0:
                        self._ring.wait(min(pause, 1.0))
                    woken = [self._woken.popleft() for _ in range(len(self._woken))]
                for worker, notes in woken:
                    self._crowd.heard(self, worker, notes)
                if self._due and self._due[0][0] <= time.monotonic():
                    when, _, what = heapq.heappop(self._due)
                    self.late.append(time.monotonic() - when)
                    what()
        except BaseException as error:  # noqa: BLE001 - Crowd.check raises it
            self.failure = error
        finally:
            self.connection.close()

    def timed(self, kind: str, call: Callable[[], Any]) -> Any:
        """Make a call and note how long it took."""
        began = time.monotonic()
        answer = call()
        self.took.setdefault(kind, []).append(time.monotonic() - began)
        return answer


class Crowd:
    """Workers, and the lanes on which their statements go.

    Args:
        url: of the database.
        workers: how many.
        processes: of each.
        lanes: connections for all of them.
        slots: of each process.
        work: seconds that a step takes.
        poll: seconds between two beats, as TRIB_POLL_INTERVAL has it.
    """

    def __init__(
        self,
        url: str,
        *,
        workers: int,
        processes: int,
        lanes: int,
        slots: int,
        work: float,
        poll: float = BEAT,
    ) -> None:
        self._slots, self._work, self._beat = slots, work, poll
        self._names = [NAME]
        self.lanes = [Lane(url, self) for _ in range(min(lanes, workers))]
        self.workers: list[tuple[Lane, Worker]] = []
        membership.register_handlers(self.lanes[0].connection, [{"name": NAME}])
        for lane in self.lanes:
            # a thousand of them are to be there soon; what comes later is flushed
            lane.connection.execute("set synchronous_commit to off")
        for number in range(workers):
            lane = self.lanes[number % len(self.lanes)]
            worker = _joined(lane.connection, number, processes)
            lane.workers.append(worker)
            self.workers.append((lane, worker))
        for lane in self.lanes:
            lane.connection.execute("reset synchronous_commit")
        began = time.monotonic()
        for number, (lane, worker) in enumerate(self.workers):
            # workers that were started at different times beat at different times
            first = began + poll * number / workers
            worker.attend_at = first + BEAT * (number % 2)
            lane.at(first, partial(self._poll, lane, worker))

    def start(self) -> None:
        """Begin."""
        for lane in self.lanes:
            lane.start()

    def check(self) -> None:
        """Make sure that all lanes go on.

        Raises:
            RuntimeError: one has failed.
        """
        for lane in self.lanes:
            if lane.failure is not None:
                raise RuntimeError("a lane has ended") from lane.failure

    def end(self) -> None:
        """End all lanes."""
        for lane in self.lanes:
            lane.end()
        for lane in self.lanes:
            if lane.is_alive():
                lane.join(70)

    def forget(self) -> None:
        """Begin a new measurement."""
        for lane in self.lanes:
            lane.forget()

    def took(self) -> dict[str, list[float]]:
        """Return the seconds of all round trips since the measurement began, by kind."""
        found: dict[str, list[float]] = {}
        for lane in self.lanes:
            for kind, times in list(lane.took.items()):
                found.setdefault(kind, []).extend(times)
        return found

    def late(self) -> list[float]:
        """Return by how many seconds things were begun late."""
        return [late for lane in self.lanes for late in list(lane.late)]

    def counts(self) -> Counter[str]:
        """Return how many round trips of each kind there were, and how many rows were claimed."""
        return Counter(
            {
                **{kind: len(times) for kind, times in self.took().items()},
                "rows": sum(lane.rows for lane in self.lanes),
            }
        )

    # --- what a supervisor does -------------------------------------------------------------------

    def _poll(self, lane: Lane, worker: Worker) -> None:
        began = time.monotonic()
        worker.poll, worker.polled_at = worker.poll + 1, began
        turn = worker.poll
        lane.at(began + self._beat, lambda: self._poll(lane, worker) if worker.poll == turn else None)
        vitals = [Vitals(process.process_id) for process in worker.processes]
        pulse = lane.timed(
            "beat",
            lambda: membership.beat_worker(
                lane.connection, worker.worker_id, vitals, QUEUES,
                wants_wake=worker.ears is not None, state="running", wanted=len(vitals),
            ),
        )  # fmt: skip
        if not pulse.alive:
            raise RuntimeError("a worker was fenced: its beats came too late")
        if pulse.ready:
            for process in worker.processes:
                self._wake(lane, process)
        if worker.ears is not None and (channel := worker.ears.question()) is not None:
            lane.timed("probe", partial(lane.connection.execute, _NOTIFY, (channel,)))
        if began >= worker.attend_at:
            worker.attend_at = began + TICK
            self._attend(lane, worker, began)

    def _attend(self, lane: Lane, worker: Worker, now: float) -> None:
        tidies = now >= worker.tidy_at
        chores = lane.timed(
            "attend",
            lambda: membership.attend(
                lane.connection, worker.worker_id, _LEADS, lease=_LEASE, expected=None,
                silent=_SILENT if tidies else None,
            ),
        )  # fmt: skip
        if chores is None:
            return
        if tidies:
            worker.tidy_at = now + TIDY
        if chores.dead:
            raise RuntimeError("a process looks dead: its beats came too late")
        if chores.due:
            lane.timed("promote", lambda: membership.promote(lane.connection, 1))
        if now >= worker.sample_at:
            worker.sample_at = now + SAMPLE
            lane.timed("sample", lambda: membership.sample_queues(lane.connection))
            lane.timed("sweep", lambda: membership.sweep_groups(lane.connection, None))

    def heard(self, lane: Lane, worker: Worker, notes: int) -> None:
        """Wake one process at once and the others a moment later, or look later, as `Orders.nudge` does."""
        if _RANDOM.random() * len(self.workers) >= FEW * notes:
            if worker.looks_at <= (now := time.monotonic()):
                worker.told_at = now
                worker.looks_at = now + _RANDOM.uniform(0, min(SPREAD * len(self.workers), BEAT))
                lane.at(worker.looks_at, partial(self._look_soon, lane, worker))
            return
        others = list(worker.processes)
        if notes == 1:
            worker.turn += 1
            first = others.pop(worker.turn % len(others))
            self._wake(lane, first)
            for process in others:
                lane.at(time.monotonic() + STAGGER, partial(self._wake, lane, process))
        else:
            for process in others:
                self._wake(lane, process)

    def _look_soon(self, lane: Lane, worker: Worker) -> None:
        # a beat that was due meanwhile has looked
        if worker.polled_at < worker.told_at:
            self._poll(lane, worker)

    # --- what a database thread does --------------------------------------------------------------

    def _wake(self, lane: Lane, process: Process) -> None:
        process.claiming.more = True
        process.claiming.hurry()
        process.looks += 1
        number, now = process.looks, time.monotonic()
        for after in RESCANS:
            # a later wake-up begins the row of looks anew
            lane.at(now + after, lambda: self._rescan(lane, process) if process.looks == number else None)
        self._round(lane, process)

    def _rescan(self, lane: Lane, process: Process) -> None:
        process.claiming.more = True
        self._round(lane, process)

    def _round(self, lane: Lane, process: Process) -> None:
        claiming, ended = process.claiming, process.ended
        leases = Leases(lane.connection, process.process_id, self._names, QUEUES)
        want = self._slots - process.held if claiming.more or ended else 0
        if not ended and want <= 0:
            return
        process.ended = []
        kind = f"{'finish' if ended else ''}{' and ' if ended and want else ''}{'claim' if want else ''}"
        _, rows = lane.timed(kind, lambda: claiming.exchange(leases, ended, want, {}, want))
        self._hold(lane, process, rows)
        if want > 0 and not claiming.more and len(rows) < want:
            left = want - len(rows)
            began = time.monotonic()
            found = claiming.look(leases, left, {}, left)
            if claiming.deferred is None:
                lane.took.setdefault("look", []).append(time.monotonic() - began)
            elif claiming.deferred != process.deferred:
                process.deferred = claiming.deferred
                lane.at(claiming.deferred, lambda: self._rescan(lane, process))
            self._hold(lane, process, found)

    def _hold(self, lane: Lane, process: Process, rows: Sequence[Row]) -> None:
        lane.rows += len(rows)
        process.held += len(rows)
        now = time.monotonic()
        for number, row in enumerate(rows):
            ended = Ended(row[0], row[1], row[2], row[18], "completed", result="null", elapsed=0.0)
            # steps do not all take the same time
            after = self._work * (0.5 + (process.process_id + row[2] + number) % 101 / 100)
            lane.at(now + after, partial(self._finish, lane, process, ended))

    def _finish(self, lane: Lane, process: Process, ended: Ended) -> None:
        process.held -= 1
        process.ended.append(ended)
        process.claiming.ended("default")
        self._round(lane, process)


def _joined(connection: Connection, number: int, processes: int) -> Worker:
    worker_id = membership.register_worker(
        connection, name=f"fleet-{number}", host=f"host-{number}", pid=os.getpid(), version="fleet",
        queues=["default"], names=[NAME], concurrency=10, failures=[],
    )  # fmt: skip
    made = [
        Process(
            membership.register_process(
                connection, name=f"fleet-{number}/{which}", pid=os.getpid(), worker_id=worker_id
            ),
            Claiming(0, QUEUES, ()),
        )
        for which in range(processes)
    ]
    return Worker(worker_id, made, 0.0)
