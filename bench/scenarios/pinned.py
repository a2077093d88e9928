"""A forgotten transaction: nothing that is dead can be removed while it lasts."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from bench import load, product
from bench.charts import Lines
from bench.scenario import Outcome, row, scenario
from bench.server import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAITING = """
    select count(*)
    from (select from tributary.steps where shard = 0 and state = 'available' limit 100000) as waiting
"""


@contextmanager
def pinned(url: str) -> Iterator[None]:
    """Hold a snapshot meanwhile."""
    with psycopg.connect(url) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from tributary.runs")
        yield
        connection.rollback()


@scenario(
    "pinned-xmin",
    short={"seconds": 5, "drained": 40_000, "rounds": 1},
    full={"seconds": 600, "drained": 1_500_000, "rounds": 1},
)
def pinned_xmin(at: str, *, seconds: int, drained: int, rounds: int) -> Outcome:
    """An idle repeatable-read transaction, at 800 intents a second and at full load."""
    offered = _offered(product.database(at), 800, seconds)
    free, held = [], []
    for _ in range(rounds):
        url = product.database(at)
        load.ready(url, drained * 11 // 10)
        settle(url, analyze=True)
        free.append(load.drain_rate(url, drained))
        url = product.database(at)
        load.ready(url, drained * 11 // 10)
        settle(url, analyze=True)
        with pinned(url):
            held.append(load.drain_rate(url, drained))
    late = [waiting for when, waiting in offered if when > seconds * 0.8]
    ratios = [there / here for here, there in zip(free, held, strict=True)]
    return Outcome(
        rows=[
            row(f"ready rows at 800/s, last fifth of {seconds} s", late, "rows", at_most=800),
            row("drain rate, nothing pinned", free, "/s"),
            row("drain rate, pinned", held, "/s"),
            row("pinned against not pinned", ratios, "x", at_least=0.8),
        ],
        raw={"waiting": offered, "free": free, "pinned": held},
        charts=[Lines("Ready rows under a pinned xmin at 800/s", "seconds", "rows", {"ready": offered})],
    )


def _offered(url: str, rate: int, seconds: int) -> list[tuple[float, float]]:
    """Submit ``rate`` intents a second under a pinned xmin; return what was ready, every half second."""
    found: list[tuple[float, float]] = []
    stop = threading.Event()

    def submit() -> None:
        with load.opened(url) as connection:
            due = time.monotonic()
            while not stop.is_set():
                connection.execute(
                    "select tributary.submit_intent('bench.noop.v1', '{\"i\": 1}')"
                    " from generate_series(1, %s)",
                    (rate // 20,),
                )
                due += 0.05
                stop.wait(max(0.0, due - time.monotonic()))

    producer = threading.Thread(target=submit)
    with load.opened(url) as connection, product.worker(url, 2), pinned(url):
        began = time.monotonic()
        producer.start()
        try:
            while (now := time.monotonic() - began) < seconds:
                found.append((now, load.number(connection, _WAITING)))
                time.sleep(0.5)
        finally:
            stop.set()
            producer.join()
    return found
