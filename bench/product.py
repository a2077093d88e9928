"""The product as users run it: `trib worker` as a child process, its shipped defaults, one database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench import shapes
from bench.server import finish_rate, fresh_database, settle
from tributary_daemon import Client, Migrator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
PATIENCE = 300.0  # seconds
UNFINISHED_INTENTS = "select exists (select from tributary.steps where state in ('available', 'running'))"
UNFINISHED_RUNS = "select exists (select from tributary.runs where state = 'running')"
FINISH_TIMES = "select finished_at from tributary.steps where state = 'completed'"
ALL_WELL = """
    select count(*), count(*) filter (where s.state = 'completed' and s.attempt = 1
                                      and s.result = coalesce(s.payload, p.payload))
    from tributary.steps s left join tributary.payloads p using (shard, run_id, ordinal)
"""
SAMPLE = """
    create temporary table sample as
    select shard, run_id, ordinal, seq, ctid as place from tributary.steps order by random() limit 100
"""
FINISH_AGAIN = """
    select count(*), count(refused.run_id)
    from sample as s left join lateral tributary.finish_steps(
        s.shard, 0, array[s.run_id], array[s.ordinal], array[s.seq], array['completed'], array['"again"'],
        array[null::text], array[null::float8], array[0::float8], true, '{}', '{}', 0
    ) as refused on true
"""
WRITTEN = """
    select count(*)
    from sample left join tributary.steps s using (shard, run_id, ordinal)
    where s.ctid is distinct from sample.place or s.result = '"again"'
"""


def database(at: str, *, shards: int = 1, name: str = "bench_tributary") -> str:
    """Return the URL of a fresh database with the schema, split into so many shards."""
    url = fresh_database(at, name)
    Migrator(url, shards=shards).up()
    return url


@contextmanager
def worker(url: str, processes: int) -> Iterator[int]:
    """Run `trib worker` meanwhile, yield its pid; afterwards it drains and must end well.

    Raises:
        RuntimeError: it did not become ready, or did not end well; its log is in the message.
    """
    command = [sys.executable, "-m", "tributary_daemon", "worker", "--processes", str(processes)]
    command += ["--import", str(HERE / "handlers.py")]
    with tempfile.NamedTemporaryFile() as log:

        def said() -> str:
            return Path(log.name).read_text(errors="replace")

        child = subprocess.Popen(
            command,
            env={**os.environ, "TRIB_DATABASE_URL": url},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                wait(lambda: child.poll() is not None or joined(connection) == processes, 30, "its processes")
            yield child.pid
            child.send_signal(signal.SIGTERM)
            if child.wait(70) != 0:
                raise RuntimeError(f"the worker ended with {child.returncode}:\n{said()}")
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def joined(connection: psycopg.Connection) -> int:
    """Return how many processes have registered."""
    row = connection.execute("select count(*) from tributary.processes").fetchone()
    return 0 if row is None else int(row[0])


def wait(probe: Callable[[], bool], seconds: float, what: str) -> None:
    """Call ``probe`` until it is true.

    Raises:
        RuntimeError: that took longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)


def intents(at: str, *, count: int, processes: int, shards: int = 1) -> float:
    """Drain ``count`` intents of a database with so many shards; return their rate per second."""
    url = database(at, shards=shards)
    with Client(url) as client:
        client.submit_many("bench.noop.v1", ({"i": i} for i in range(count)))
    return drain(url, UNFINISHED_INTENTS, count, processes)


def chains(at: str, *, runs: int, steps: int, processes: int, shards: int = 1) -> float:
    """Drain ``runs`` chains of ``steps`` steps; return the rate of steps per second."""
    return drain_runs(shaped(at, shapes.chain(steps), runs, shards=shards), runs * steps, processes)


def shaped(at: str, shape: shapes.Shape, runs: int, *, shards: int = 1, name: str = "bench_tributary") -> str:
    """Return the URL of a fresh database that holds ``runs`` runs of a shape."""
    url = database(at, shards=shards, name=name)
    submit(url, shape, runs)
    return url


def submit(url: str, shape: shapes.Shape, runs: int) -> None:
    """Record ``runs`` runs of a shape."""
    with Client(url) as client:
        client.register(shapes.workflow("bench.shape.v1", shape))
    with psycopg.connect(url) as connection:
        connection.execute(
            "select tributary.submit_workflow('bench.shape.v1') from generate_series(1, %s)", (runs,)
        )


def drain_runs(url: str, steps: int, processes: int) -> float:
    """Drain runs of ``steps`` steps in all; return the rate of steps per second."""
    return drain(url, UNFINISHED_RUNS, steps, processes)


def drain(url: str, unfinished: str, count: int, processes: int, *, analyze: bool = True) -> float:
    """Start a worker on what is stored, wait for the end, check every row, return the rate.

    Args:
        url: the database.
        unfinished: a query of one boolean: is there work left?
        count: how many rows there are.
        processes: of the worker.
        analyze: vacuum and analyze before, as for everything that is compared.

    Raises:
        RuntimeError: a row is not completed, took several attempts, has another result than its input, or
            could be finished once more.
    """
    settle(url, analyze=analyze)
    with psycopg.connect(url, autocommit=True) as connection:

        def ended() -> bool:
            row = connection.execute(unfinished).fetchone()
            return row is not None and not row[0]

        with worker(url, processes):
            wait(ended, PATIENCE, f"{count} rows to be finished")
        found = connection.execute(ALL_WELL).fetchone()
        if found != (count, count):
            raise RuntimeError(f"of {count} rows, {found} are there and as they should be")
        refuses_stale_finishes(connection)
    return finish_rate(url, FINISH_TIMES)


def refuses_stale_finishes(connection: psycopg.Connection) -> None:
    """Finish sampled attempts a second time, with the tokens that finished them.

    Raises:
        RuntimeError: one was not refused, or a row was written.
    """
    connection.execute(SAMPLE)
    row = connection.execute(FINISH_AGAIN).fetchone()
    written = connection.execute(WRITTEN).fetchone()
    if row is None or row[0] != row[1] or written != (0,):
        raise RuntimeError(f"second finishes: (sampled, refused) {row}, rows written {written}")
