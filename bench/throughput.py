"""What a worker finishes per second before a fault, and after it.

A backlog waits all the time, and its handlers take slots but no CPU: the rate is that of the slots, on any
machine. A slot, a process or a wake-up that a fault has cost would show. The median of ten windows of a
second before the fault is compared with that of the ten that begin when the bar of the fault has passed.
"""

from __future__ import annotations

import os
import signal
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.pooler import Pooler
from bench.relay import Relay
from bench.scene import Scene, kill, wait
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARE = 0.95
_WARM = 4.0  # seconds until a worker is in its stride
_WINDOWS = 10  # of a second
_SLOT_RATE = 10  # a slot that takes 100 ms for each
_SLOTS = 20  # of a worker of two processes
_RESTART = 2.0  # seconds: RestartSec of the shipped unit
_FINISHED = """
    select floor(extract(epoch from finished_at) - %s)::int, count(*)
    from tributary.steps where state = 'completed' group by 1
"""


class Course(NamedTuple):
    """How the rate went in one trial.

    Attributes:
        before: per second, median of windows.
        after: the same, once the bar has passed.
        back: seconds until three windows in a row had, by their median, 95% of the rate before.
    """

    before: float
    after: float
    back: float

    @property
    def share(self) -> float:
        """What is left of the rate."""
        return self.after / self.before


class Load(NamedTuple):
    """A fault under load.

    Attributes:
        what: is done.
        bar: seconds, after which the rate is to be back.
        trial: runs it.
        own: it takes a server of its own.
    """

    what: str
    bar: float
    trial: Callable[[Scene, float], Course]
    own: bool = False

    def run(self, scene: Scene) -> Course:
        """Run one trial."""
        return self.trial(scene, self.bar)


def process_killed(scene: Scene, bar: float) -> Course:
    scene.worker("a")

    def inject() -> float:
        kill(scene.one("select min(pid) from tributary.processes"))
        return time.time()

    return _course(scene, bar, inject, workers=1)


def worker_killed(scene: Scene, bar: float) -> Course:
    """The one that leads, and its service manager starts it again."""
    first = scene.worker("a")
    scene.leads("a")
    scene.worker("b")

    def inject() -> float:
        os.killpg(first.pid, signal.SIGKILL)
        fault = time.time()
        time.sleep(_RESTART)
        scene.worker("a")
        return fault

    return _course(scene, bar, inject, workers=2)


def backends_killed(scene: Scene, bar: float) -> Course:
    scene.worker("a")

    def inject() -> float:
        scene.cut()
        return time.time()

    return _course(scene, bar, inject, workers=1)


def half_open(scene: Scene, bar: float) -> Course:
    with Relay(scene.url) as relay:
        scene.worker("a", url=relay.url)

        def inject() -> float:
            relay.swallow()
            return time.time()

        return _course(scene, bar, inject, workers=1)


def pooler_restarted(scene: Scene, bar: float) -> Course:
    with Pooler(scene.url) as pooler:
        scene.worker("a", url=pooler.url)

        def inject() -> float:
            pooler.stop()
            time.sleep(scene.chance.uniform(0.5, 5))
            return _wall(pooler.start())

        return _course(scene, bar, inject, workers=1)


def restarted_fast(scene: Scene, bar: float) -> Course:
    return _restarted(scene, bar, signal.SIGINT)


def restarted_at_once(scene: Scene, bar: float) -> Course:
    return _restarted(scene, bar, signal.SIGQUIT)


def _restarted(scene: Scene, bar: float, how: signal.Signals) -> Course:
    scene.worker("a")

    def inject() -> float:
        scene.own.stop(how)
        time.sleep(scene.chance.uniform(0.5, 5))
        accepts = scene.own.start()
        scene.reopen()
        return _wall(accepts)

    return _course(scene, bar, inject, workers=1)


LOADS = (
    Load("a process is killed (SIGKILL)", 15, process_killed),
    Load("the worker that leads is killed, and started again after 2 s", 15, worker_killed),
    Load("all connections of a worker are cut", 2, backends_killed),
    Load("connections go silent (half open)", 30, half_open),
    Load("PgBouncer is restarted", 5, pooler_restarted),
    Load("PostgreSQL is restarted (fast)", 5, restarted_fast, own=True),
    Load("PostgreSQL is restarted (immediate)", 5, restarted_at_once, own=True),
)


def _course(scene: Scene, bar: float, inject: Callable[[], float], *, workers: int) -> Course:
    """Work through a backlog, inject a fault, and compare the windows.

    Args:
        scene: with its workers.
        bar: seconds after which the rate is to be back.
        inject: does it; returns the time of day from which recovery counts.
        workers: so many are there before the fault and after it.

    Raises:
        RuntimeError: the backlog was used up before the end.
    """
    seconds = 2 * _WARM + 2 * _WINDOWS + bar + 20
    backlog = int(workers * _SLOTS * _SLOT_RATE * seconds)
    with Client(scene.url) as client:
        client.submit_many("fault.work.v1", ({} for _ in range(backlog)))
    wait(
        lambda: scene.one("select count(*) from tributary.steps where state = 'completed'") > 0,
        "the first one",
    )
    time.sleep(_WARM + _WINDOWS)
    fault = time.time()
    zero = inject()
    time.sleep(max(0.0, zero + bar + _WINDOWS + 1 - time.time()))
    if not scene.one("select exists (select from tributary.steps where state = 'available')"):
        raise RuntimeError("the backlog was used up")
    return compare(_counts(scene, fault), _counts(scene, zero), bar)


def compare(around: Mapping[int, int], after: Mapping[int, int], bar: float) -> Course:
    """Compare the rate before a fault with the one after it.

    Args:
        around: finished per second, by the second since the fault; negative ones are before it.
        after: the same, by the second since recovery counts.
        bar: seconds after which the rate is to be back.
    """
    before = median(_windows(around, -_WINDOWS))
    end = int(bar) + _WINDOWS
    enough = SHARE * before
    back = next((at for at in range(end - 2) if median(_windows(after, at, 3)) >= enough), float("inf"))
    return Course(before, median(_windows(after, int(bar))), back)


def _counts(scene: Scene, since: float) -> Mapping[int, int]:
    return dict(scene.sql.execute(_FINISHED, (since,)).fetchall())


def _windows(counts: Mapping[int, int], first: int, many: int = _WINDOWS) -> list[int]:
    return [counts.get(at, 0) for at in range(first, first + many)]


def _wall(monotonic: float) -> float:
    return time.time() - (time.monotonic() - monotonic)
