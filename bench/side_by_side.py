"""Two workers at the same time, on one server, each with a database of its own: what an attempt costs either.

From one drain to the next a shared machine is a third faster or slower, far more than what is looked for. So
the two drain at the same time, and what counts is the CPU of their processes and connections. Where all cores
are taken that is the rate.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from bench import load, product
from bench.processes import children, cpu_seconds
from bench.scenario import row
from bench.server import recycle_wal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg

    from bench.scenario import Row

_BACKENDS = """
    select array_agg(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'trib %'
"""
# the server's own statistics are up to a second old
_FINISHED = "select count(*) from tributary.steps where state = 'completed'"
_PATIENCE = 30  # seconds
_WAL_LOADING = 256  # MB of WAL that loading two databases takes
_WAL_WORKING = 4  # MB of WAL for a thousand attempts


@contextmanager
def environment(given: Mapping[str, str | None]) -> Iterator[None]:
    """Have workers and clients see these variables meanwhile; None for not set."""
    before = {name: os.environ.get(name) for name in given}
    _set(given)
    try:
        yield
    finally:
        _set(before)


def _set(given: Mapping[str, str | None]) -> None:
    for name, value in given.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Side:
    """A worker of one process on a database of its own.

    Args:
        url: the database.
        given: variables that the worker sees.
    """

    def __init__(self, url: str, given: Mapping[str, str | None]) -> None:
        self.url, self.given = url, given
        self._open = ExitStack()
        self._sql: psycopg.Connection
        self._pid = 0

    def __enter__(self) -> Self:
        self._sql = self._open.enter_context(load.opened(self.url))
        with environment(self.given):
            self._pid = self._open.enter_context(product.worker(self.url, 1))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def begun(self) -> bool:
        """Return whether all is going on that is to be measured."""
        return True

    def used(self) -> tuple[float, float]:
        """Return the attempts that it has finished, and the seconds of CPU that it and its backends used."""
        attempts = load.number(self._sql, _FINISHED)
        backends = self._sql.execute(_BACKENDS).fetchall()[0][0]
        return attempts, cpu_seconds([self._pid, *children(self._pid), *backends])

    def at_its_end(self) -> bool:
        """Return whether it has nothing left to do."""
        return self._sql.execute(load.NOTHING_LEFT.encode()).fetchall()[0][0] is True


def databases(at: str, attempts: int) -> tuple[str, str]:
    """Return two fresh databases, and see to it that the WAL of so many attempts has files to go into.

    Both are made before either is filled: a database that is made is a checkpoint, after which those that are
    there log whole pages.
    """
    recycle_wal(at, _WAL_LOADING + 2 * attempts * _WAL_WORKING // 1000)
    return product.database(at, name="bench_left"), product.database(at, name="bench_right")


def pair(
    at: str, attempts: int, number: int, sides: tuple[Callable[[str], Side], Callable[[str], Side]]
) -> tuple[float, float]:
    """Return the microseconds of CPU that an attempt costs each of two, while both have work.

    Args:
        at: the server.
        attempts: that each has to do.
        number: of the pair: neither side starts first every time, nor is on the database filled first.
        sides: each fills a database and returns the side that is to drain it.
    """
    left, right = databases(at, attempts)
    urls = (left, right) if number % 2 == 0 else (right, left)
    made = [make(url) for make, url in zip(sides, urls, strict=True)]
    if number % 4 < 2:
        return _beside(made[0], made[1])
    second, first = _beside(made[1], made[0])
    return first, second


def rows_of(costs: Mapping[str, Sequence[tuple[float, float]]], control: str, bar: float) -> list[Row]:
    """Return what an attempt costs the second of each pair, and how much of the rate that is.

    Args:
        costs: pairs by what was measured.
        control: the end of the names for which nothing is promised.
        bar: percent that the others may lose.
    """
    rows = []
    for name, pairs in costs.items():
        lost = [100 * (1 - bare / other) for bare, other in pairs]
        rows += [
            row(f"CPU of an attempt, {name}", [other for _, other in pairs], "us"),
            row(f"rate lost, {name}", lost, "%", at_most=None if name.endswith(control) else bar),
        ]
    return rows


def _beside(one: Side, other: Side) -> tuple[float, float]:
    with one, other:
        sides = (one, other)
        product.wait(lambda: all(side.begun() for side in sides), _PATIENCE, "a sign of both")
        time.sleep(1)
        before = [side.used() for side in sides]
        product.wait(lambda: any(side.at_its_end() for side in sides), product.PATIENCE, "the end of one")
        after = [side.used() for side in sides]
    costs = [
        1e6 * (cpu - cpu_before) / (attempts - attempts_before)
        for (attempts_before, cpu_before), (attempts, cpu) in zip(before, after, strict=True)
    ]
    return costs[0], costs[1]
