"""Latency on an idle worker: `python -m bench.latency`.

Two ways are measured: from the call of submit to the handler's first line, by the clock of this machine; and
from a parent's end to its child's start, by the times that `trib status` shows.
"""

from __future__ import annotations

import argparse
import random
import time
from statistics import quantiles
from typing import TYPE_CHECKING

import psycopg

from bench import product
from bench.report import publish, table
from bench.server import server
from tributary_daemon import Client, Workflow

if TYPE_CHECKING:
    from collections.abc import Sequence

PAUSE = 0.1  # seconds between two submits, on average: the worker is idle again
CHAIN = 20
STARTS = """
    select r.run_id::text, (s.result ->> 'at')::float8
    from tributary.steps s join unnest(%s::uuid[]) as r (run_id) using (run_id) where s.state = 'completed'
"""
HOPS = """
    select extract(epoch from child.started_at - parent.finished_at)::float8
    from tributary.edges e
    join tributary.steps parent on parent.run_id = e.run_id and parent.ordinal = e.parent
    join tributary.steps child on child.run_id = e.run_id and child.ordinal = e.child
    where child.state = 'completed'
"""


def submits(client: Client, connection: psycopg.Connection, count: int) -> list[float]:
    """Submit one intent at a time; return seconds from each call to its handler's first line."""
    chance = random.Random(1)
    called: dict[str, float] = {}
    for i in range(count):
        at = time.time()
        called[client.submit("bench.stamp.v1", {"i": i}).id] = at
        time.sleep(chance.expovariate(1 / PAUSE))
    product.wait(lambda: len(started(connection, called)) == count, 30, "all intents to complete")
    return [at - called[run_id] for run_id, at in started(connection, called).items()]


def started(connection: psycopg.Connection, ids: dict[str, float]) -> dict[str, float]:
    """Return, per completed intent, when its handler was entered."""
    return dict(connection.execute(STARTS, (list(ids),)).fetchall())


def hops(client: Client, connection: psycopg.Connection, count: int) -> list[float]:
    """Run chains one after another; return seconds from each parent's end to its child's start."""
    chain = Workflow("bench.hops.v1")
    for k in range(CHAIN):
        chain.add(f"s{k}", "bench.noop.v1", {"i": k}, needs=[f"s{k - 1}"] if k else [])
    for _ in range(max(1, count // (CHAIN - 1))):
        client.submit(chain).wait(timeout=60)
    return [row[0] for row in connection.execute(HOPS)]


def line(name: str, seconds: Sequence[float]) -> tuple[str, ...]:
    """Return a row of the table; milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    shown = (*(cuts[percent - 1] for percent in (50, 95, 99)), max(seconds))
    return (name, str(len(seconds)), *(f"{value * 1000:.1f}" for value in shown))


def main() -> None:
    """Measure, print a table, keep it in bench/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="samples of each (default 300)")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with server() as at:
        url = product.database(at)
        with (
            product.worker(url, options.processes),
            Client(url) as client,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            client.submit("bench.noop.v1", {"i": 0}).wait(timeout=30)
            rows = [
                line("submit -> handler's first line", submits(client, connection, options.count)),
                line("parent's end -> child's start", hops(client, connection, options.count)),
            ]
    publish("latency", table(("way", "samples", "p50 ms", "p95 ms", "p99 ms", "max ms"), rows))


if __name__ == "__main__":
    main()
