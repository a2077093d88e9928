"""Two workers at the same time, on one server, each with a database of its own: what an attempt costs either.

From one drain to the next a shared machine is a third faster or slower, far more than what is looked for. So
the two drain at the same time, and what counts is the CPU of their processes and connections. Where all cores
are taken that is the rate.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from bench import load, product
from bench.processes import children, cpu_seconds
from bench.scenario import row
from bench.server import drop_database, fresh_database, recycle_wal, settle

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
_NAMES = ("bench_left", "bench_right")
_PATIENCE = 30  # seconds
_WAL = 5  # MB of WAL for a thousand attempts that are copied and done


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

    def hold(self) -> None:
        """Stop it where it is: it is to begin with the other."""
        os.killpg(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """End that."""
        os.killpg(self._pid, signal.SIGCONT)

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


def filled(at: str, name: str, fill: Callable[[str], None]) -> str:
    """Fill a database that the sides of pairs get copies of; return its name.

    Args:
        at: the server.
        name: for the database.
        fill: fills it.
    """
    name = f"bench_{name}"
    url = product.database(at, name=name)
    fill(url)
    settle(url, analyze=True, checkpoint=False)
    return name


def prepare(at: str, attempts: int) -> None:
    """See to it that the WAL of a pair has files to go into: once, each pair leaves those it has used.

    Args:
        at: the server.
        attempts: of both sides of a pair.
    """
    recycle_wal(at, attempts * _WAL // 1000)


def pair(
    at: str, number: int, sources: tuple[str, str], sides: tuple[Callable[[str], Side], Callable[[str], Side]]
) -> tuple[float, float]:
    """Return the microseconds of CPU that an attempt costs each of two, while both have work.

    Args:
        at: the server.
        number: of the pair: neither side starts first every time, nor is on the database copied first. Who
            starts last loses some 1%, of which an even number of rounds leaves nothing.
        sources: names of databases, of which each gets a copy.
        sides: each returns the side that is to drain a database.
    """
    for name in _NAMES:
        # with a checkpoint: none must come between the copies
        drop_database(at, name)
    order = (0, 1) if number % 4 < 2 else (1, 0)
    urls = {k: fresh_database(at, _NAMES[k], like=sources[k]) for k in order}
    made = [make(urls[k]) for k, make in enumerate(sides)]
    if number % 2 == 0:
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
    with ExitStack() as open_:
        open_.enter_context(one)
        one.hold()
        open_.callback(one.go_on)
        open_.enter_context(other)
        one.go_on()
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
