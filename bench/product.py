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

from bench.server import fresh_database, settle, steady_rate
from tributary_daemon import Client, Migrator, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
PATIENCE = 300.0  # seconds
UNFINISHED_INTENTS = "select exists (select from tributary.steps where state in ('available', 'running'))"
UNFINISHED_RUNS = "select exists (select from tributary.runs where state = 'running')"
FINISH_TIMES = "select finished_at from tributary.steps where state = 'completed'"
ALL_WELL = """
    select count(*), count(*) filter (where s.state = 'completed' and s.attempt = 1 and s.result = p.payload)
    from tributary.steps s join tributary.payloads p using (shard, run_id, ordinal)
"""


def database(at: str) -> str:
    """Return the URL of a fresh database with the schema."""
    url = fresh_database(at, "bench_tributary")
    Migrator(url).up()
    return url


@contextmanager
def worker(url: str, processes: int) -> Iterator[None]:
    """Run `trib worker` meanwhile; afterwards it drains and must end well.

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
            yield
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


def intents(at: str, *, count: int, processes: int) -> float:
    """Drain ``count`` intents; return the steady rate per second."""
    url = database(at)
    with Client(url) as client:
        client.submit_many("bench.noop.v1", ({"i": i} for i in range(count)))
    return drain(url, UNFINISHED_INTENTS, count, processes)


def chains(at: str, *, runs: int, steps: int, processes: int) -> float:
    """Drain ``runs`` chains of ``steps`` steps; return the steady rate of steps per second."""
    url = database(at)
    workflow = Workflow("bench.chain.v1")
    for k in range(steps):
        workflow.add(f"s{k}", "bench.noop.v1", {"i": k}, needs=[f"s{k - 1}"] if k else [])
    with Client(url) as client:
        client.register(workflow)
    with psycopg.connect(url) as connection:
        connection.execute(
            "select tributary.submit_workflow('bench.chain.v1') from generate_series(1, %s)", (runs,)
        )
    return drain(url, UNFINISHED_RUNS, runs * steps, processes)


def drain(url: str, unfinished: str, count: int, processes: int) -> float:
    """Start a worker on what is stored, wait for the end, check every row, return the steady rate.

    Raises:
        RuntimeError: a row is not completed, took several attempts, or has another result than its input.
    """
    settle(url, analyze=False)
    with psycopg.connect(url, autocommit=True) as connection:

        def ended() -> bool:
            row = connection.execute(unfinished).fetchone()
            return row is not None and not row[0]

        with worker(url, processes):
            wait(ended, PATIENCE, f"{count} rows to be finished")
        found = connection.execute(ALL_WELL).fetchone()
    if found != (count, count):
        raise RuntimeError(f"of {count} rows, {found} are there and as they should be")
    return steady_rate(url, FINISH_TIMES)
