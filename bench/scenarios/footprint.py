"""What a worker costs when it has nothing to do, what it keeps, and how quickly things start."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench import load, product
from bench.processes import cpu_seconds, resident
from bench.scenario import Outcome, row, scenario
from bench.server import server
from tributary_daemon import Client

if TYPE_CHECKING:
    import psycopg

_TRIB = [sys.executable, "-m", "tributary_daemon"]
_TRANSACTIONS = """
    select xact_commit + xact_rollback from pg_stat_database where datname = current_database()
"""
_PIDS = "select array_agg(pid) from tributary.processes where pid is not null"
_SUPERVISOR = "select pid from tributary.workers"


@scenario(
    "idle",
    short={"processes": 4, "steps": [100_000], "seconds": 10},
    full={"processes": 4, "steps": [100_000, 1_000_000], "seconds": 60},
)
def idle(_at: str, *, processes: int, steps: list[int], seconds: float) -> Outcome:
    """Statements, CPU and memory of a worker that waits, after it has worked."""
    # autovacuum's transactions would be counted with the worker's
    with server(settings={"autovacuum": "off"}) as own:
        return _idle(product.database(own), processes, steps, seconds)


def _idle(url: str, processes: int, steps: list[int], seconds: float) -> Outcome:
    memory: list[tuple[int, float]] = []
    done = 0
    with load.opened(url) as connection, product.worker(url, processes):
        for count in steps:
            load.ready(url, count - done)
            done = count
            product.wait(lambda: not _unfinished(connection), product.PATIENCE, f"{count} steps")
            memory.append((count, max(resident(pid) for pid in _pids(connection))))
        # servers count what a connection did up to 10 s later
        time.sleep(12)
        pids = [*_pids(connection), int(load.number(connection, _SUPERVISOR))]
        before, busy, began = load.number(connection, _TRANSACTIONS), cpu_seconds(pids), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        # its own two questions are transactions too
        statements = (load.number(connection, _TRANSACTIONS) - before - 2) / took
        share = 100 * (cpu_seconds(pids) - busy) / took
    rows = [
        row(f"statements of an idle worker of {processes}", statements, "/s", at_most=2),
        row("CPU of all its processes", share, "% of a core", at_most=1),
        row(f"largest process after {steps[0]:,} steps", memory[0][1], "MiB", at_most=70),
    ]
    if len(memory) > 1:
        grown = memory[-1][1] - memory[0][1]
        rows.append(row(f"growth to {steps[-1]:,} steps", grown, "MiB", at_most=5))
    return Outcome(rows, {"memory": memory, "statements": statements, "share": share})


def _unfinished(connection: psycopg.Connection) -> bool:
    found = connection.execute(product.UNFINISHED_INTENTS).fetchone()
    return found is None or bool(found[0])


def _pids(connection: psycopg.Connection) -> list[int]:
    found = connection.execute(_PIDS).fetchone()
    return [] if found is None or found[0] is None else list(found[0])


@scenario("large", short={"count": 100}, full={"count": 1_000})
def large(at: str, *, count: int) -> Outcome:
    """Intents whose payload and result are 1 MiB each."""
    url = product.database(at)
    # with its quotes and its key it is 1 MiB exactly
    payload = {"text": "x" * (1_048_576 - len('{"text":""}'))}
    peak = 0.0
    with load.opened(url) as connection, Client(url) as client, product.worker(url, 2):
        began = time.monotonic()
        for _ in range(count):
            client.submit("bench.echo.v1", payload)
            peak = max(peak, *(resident(pid) for pid in _pids(connection)))
        while _unfinished(connection):
            peak = max(peak, *(resident(pid) for pid in _pids(connection)))
            time.sleep(0.02)
        took = time.monotonic() - began
        found = connection.execute(product.ALL_WELL).fetchone()
    if found != (count, count):
        raise RuntimeError(f"of {count} rows, {found} are there and as they should be")
    return Outcome(
        rows=[
            row("intents of 1 MiB, submitted and finished", count / took, "/s"),
            row("most memory of a process", peak, "MiB", at_most=512),
        ],
        raw={"seconds": took, "peak": peak},
    )


@scenario("two-processes", short={"seconds": 3, "rounds": 1}, full={"seconds": 20, "rounds": 5})
def two_processes(at: str, *, seconds: int, rounds: int) -> Outcome:
    """Handlers that use 1 ms of CPU each, with one process and with two."""
    one: list[float] = []
    two: list[float] = []
    for _ in range(rounds):
        for rates, processes in ((one, 1), (two, 2)):
            url = product.database(at)
            most = 600 * processes * seconds
            with Client(url) as client:
                client.submit_many("bench.spin.v1", ({"i": i} for i in range(most * 11 // 10)))
            rates.append(load.drain_rate(url, most, processes=processes))
    ratios = [both / single for single, both in zip(one, two, strict=True)]
    return Outcome(
        rows=[
            row("one process", one, "/s"),
            row("two processes", two, "/s"),
            row("two against one", ratios, "x", at_least=1.7),
        ],
        raw={"one": one, "two": two},
    )
