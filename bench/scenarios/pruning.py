"""History that leaves while work is done."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from bench import load, product
from bench.scenario import Outcome, row, scenario
from bench.server import settle

if TYPE_CHECKING:
    from typing import Self

_NOW = "select extract(epoch from clock_timestamp())"
_LONGEST_WAIT = """
    select max(extract(epoch from clock_timestamp() - l.waitstart)) from pg_locks as l where not l.granted
"""
_ENDED = """
    select count(*) from tributary.steps
    where state = 'completed' and finished_at between to_timestamp({0}) and to_timestamp({1})
"""


_LEFT = "select count(*) from tributary.steps where finished_at < now() - interval '1 day'"


class Prune:
    """`trib prune` of everything older than a day, in a process of its own.

    Attributes:
        windows: from when to when (the server's clock) the drain was alone, beside it, alone again.
    """

    def __init__(self, url: str, alone: float) -> None:
        self.windows: list[tuple[float, float]] = []
        self._url = url
        self._alone = alone
        self._command = [sys.executable, "-m", "tributary_daemon", "--database-url", url]
        self._command += ["prune", "--older-than", "1d"]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        with load.opened(self._url) as connection:
            # the first second is the start of the worker
            time.sleep(1.0)
            marks = [load.number(connection, _NOW)]
            time.sleep(self._alone)
            marks.append(load.number(connection, _NOW))
            subprocess.run(self._command, check=True, capture_output=True, timeout=product.PATIENCE)
            marks.append(load.number(connection, _NOW))
            time.sleep(self._alone)
            marks.append(load.number(connection, _NOW))
        self.windows = list(pairwise(marks))


class Waits(load.Beside):
    """Watches how long anybody waits for a lock.

    Attributes:
        longest: in seconds.
    """

    longest = 0.0

    def _run(self) -> None:
        with load.opened(self._url) as connection:
            while not self._stop.wait(0.05):
                self.longest = max(self.longest, load.number(connection, _LONGEST_WAIT))


@scenario(
    "pruning",
    short={"kept": 100_000, "ready": 300_000, "alone": 2.0, "rounds": 1},
    full={"kept": 1_000_000, "ready": 2_000_000, "alone": 10.0, "rounds": 3},
)
def pruning(at: str, *, kept: int, ready: int, alone: float, rounds: int) -> Outcome:
    """Finished work is pruned while a worker drains: the rate meanwhile against that before and after."""
    free, beside, pruned, waits = [], [], [], []
    for _ in range(rounds):
        url = product.database(at)
        load.finished(url, kept, "40 days")
        load.ready(url, ready)
        settle(url, analyze=True)
        prune, watched = Prune(url, alone), Waits(url)
        with watched:
            load.drain_rate(url, 1, beside=prune)
        with load.opened(url) as connection:
            if load.number(connection, _LEFT):
                raise RuntimeError("some of the old work is left")
            before, meanwhile, after = (
                load.number(connection, _ENDED.format(*window)) / (window[1] - window[0])
                for window in prune.windows
            )
        free.append((before + after) / 2)
        beside.append(meanwhile)
        pruned.append(kept / (prune.windows[1][1] - prune.windows[1][0]))
        waits.append(watched.longest * 1000)
    lost = [100 * (1 - there / here) for here, there in zip(free, beside, strict=True)]
    return Outcome(
        rows=[
            row("drain rate before and after", free, "/s"),
            row("drain rate meanwhile", beside, "/s"),
            row("rate lost", lost, "%", at_most=20),
            row("intents pruned", pruned, "/s"),
            row("pruned per finished", [p / b for p, b in zip(pruned, beside, strict=True)], "x", at_least=1),
            row("longest wait for a lock", waits, "ms", at_most=100),
        ],
        raw={"free": free, "beside": beside, "pruned": pruned, "waits": waits},
        notes=["Whoever waits for a lock is looked at 20 times a second."],
    )
