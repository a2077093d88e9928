"""History that leaves while work is done."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from bench import load, product
from bench.scenario import Outcome, row, scenario

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


class Prune:
    """`trib prune` of everything older than a day, in a process of its own.

    Attributes:
        began: when, by the server's clock.
        ended: when.
    """

    def __init__(self, url: str) -> None:
        self.began = self.ended = 0.0
        self._url = url
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
            self.began = load.number(connection, _NOW)
            subprocess.run(self._command, check=True, capture_output=True, timeout=product.PATIENCE)
            self.ended = load.number(connection, _NOW)


class Waits:
    """Watches how long anybody waits for a lock.

    Attributes:
        longest: in seconds.
    """

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with load.opened(self._url) as connection:
            while not self._stop.wait(0.05):
                self.longest = max(self.longest, load.number(connection, _LONGEST_WAIT))


@scenario(
    "pruning",
    short={"kept": 150_000, "ready": 150_000, "rounds": 1},
    full={"kept": 1_000_000, "ready": 1_000_000, "rounds": 3},
)
def pruning(at: str, *, kept: int, ready: int, rounds: int) -> Outcome:
    """Finished work is pruned at full speed while a worker drains."""
    alone, beside, pruned, waits = [], [], [], []
    for _ in range(rounds):
        url = product.database(at)
        load.finished(url, kept, "40 days")
        load.ready(url, ready)
        alone.append(load.drain_rate(url, ready * 6 // 10))
        url = product.database(at)
        load.finished(url, kept, "40 days")
        load.ready(url, ready)
        prune, watched = Prune(url), Waits(url)
        with watched:
            load.drain_rate(url, 1, beside=prune)
        with load.opened(url) as connection:
            took = prune.ended - prune.began
            beside.append(load.number(connection, _ENDED.format(prune.began, prune.ended)) / took)
            left = load.number(
                connection,
                "select count(*) from tributary.steps where finished_at < now() - interval '1 day'",
            )
        if left:
            raise RuntimeError(f"{left:.0f} rows are left")
        pruned.append(kept / took)
        waits.append(watched.longest * 1000)
    return Outcome(
        rows=[
            row("drain rate, nothing pruned", alone, "/s"),
            row("drain rate, pruning", beside, "/s"),
            row(
                "rate lost", [100 * (1 - b / a) for a, b in zip(alone, beside, strict=True)], "%", at_most=20
            ),
            row("intents pruned", pruned, "/s"),
            row("pruned per finished", [p / b for p, b in zip(pruned, beside, strict=True)], "x", at_least=1),
            row("longest wait for a lock", waits, "ms", at_most=100),
        ],
        raw={"alone": alone, "beside": beside, "pruned": pruned, "waits": waits},
        notes=["Whoever waits for a lock is looked at 20 times a second."],
    )
