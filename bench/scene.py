"""One trial of a fault: a database of its own, workers as users start them, and what their handlers noted."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg

from bench.server import fresh_database, url_of
from tributary_daemon import Migrator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.own_server import OwnServer

HANDLERS = Path(__file__).with_name("fault_handlers.py")
PATIENCE = 120.0  # seconds


class Scene:
    """One trial's database, its workers, and what its handlers noted.

    Attributes:
        url: of the database.
        chance: the moments that the trial chooses; the same for the same number of a trial.
        sql: a connection of the trial's own.
    """

    def __init__(self, url: str, home: Path, stack: ExitStack, number: int, own: OwnServer | None) -> None:
        self.url = url
        self.home = home
        self.stack = stack
        self.chance = Random(number)
        self._own = own
        self.sql = stack.enter_context(psycopg.connect(url, autocommit=True))

    @property
    def own(self) -> OwnServer:
        """The server, where it is the trial's own.

        Raises:
            RuntimeError: it is shared.
        """
        if self._own is None:
            raise RuntimeError("this trial shares its server with others")
        return self._own

    def reopen(self) -> None:
        """Open the trial's own connection anew."""
        self.sql = self.stack.enter_context(psycopg.connect(self.url, autocommit=True))

    def one(self, query: str, *params: object) -> Any:
        """Return the one value of a query."""
        row = self.sql.execute(query.encode(), params or None).fetchone()
        assert row is not None
        return row[0]

    def worker(self, name: str, *, url: str | None = None) -> subprocess.Popen[bytes]:
        """Start a worker of two processes and wait until both claim."""
        log = self.home / f"{name}.log"
        process = subprocess.Popen(
            [
                sys.executable, "-m", "tributary_daemon", "worker", "--processes", "2", "--name", name,
                "--import", str(HANDLERS),
            ],
            env={**os.environ, "TRIB_DATABASE_URL": url or self.url},
            cwd=self.home, stdin=subprocess.DEVNULL, stdout=log.open("wb"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self.stack.callback(end, process)
        wait(lambda: log.read_text(errors="replace").count("process started") >= 2, f"worker {name}")
        return process

    def leads(self, name: str) -> None:
        """Wait until a worker leads."""
        leader = "select max(w.name) from tributary.leaders join tributary.workers as w using (worker_id)"
        wait(lambda: self.one(leader) == name, f"{name} to lead")

    def command(self, name: str, command: str, state: str) -> None:
        """Tell a worker what to do, and wait until it says that it is in a state."""
        self.one("select count(*) from tributary.command_worker(%s, %s)", name, command)
        said = "select max(state) from tributary.workers where name = %s"
        wait(lambda: self.one(said, name) == state, f"{name} {state}")

    def cut(self) -> None:
        """Terminate all connections of workers to this database."""
        self.sql.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'trib%%'"
        )

    def submit(self, name: str) -> str:
        """Submit an intent; return its id."""
        row = self.sql.execute("select tributary.submit_intent(%s)::text", (name,)).fetchone()
        assert row is not None
        return str(row[0])

    def starts(self, run: str) -> list[dict[str, object]]:
        """Return the starts of an intent."""
        path = self.home / "starts.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [found for line in lines if (found := json.loads(line))["id"] == run]

    def started(self, run: str, times: int = 1) -> dict[str, object]:
        """Wait for the n-th start of an intent and return it."""
        wait(lambda: len(self.starts(run)) >= times, f"start {times} of {run}")
        return self.starts(run)[times - 1]

    def at(self, run: str, times: int) -> float:
        """Wait for the n-th start of an intent; return its monotonic time."""
        return float(str(self.started(run, times)["at"]))

    def until(self, run: str, state: str) -> float:
        """Wait for a state; return the monotonic time."""
        query = "select state::text from tributary.steps where run_id = %s"
        wait(lambda: self.sql.execute(query, (run,)).fetchone() == (state,), f"{run} {state}")
        return time.monotonic()

    def next_probe(self) -> float:
        """Submit something new; return when its handler ran."""
        return self.at(self.submit("fault.probe.v1"), 1)


def wait(probe: Callable[[], bool], what: str) -> None:
    """Wait until a probe is true.

    Raises:
        RuntimeError: that took longer than two minutes.
    """
    deadline = time.monotonic() + PATIENCE
    while not probe():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.005)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and its group, if they are still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill(pid: object, number: int = signal.SIGKILL) -> float:
    """Send a signal; return the monotonic time."""
    os.kill(int(str(pid)), number)
    return time.monotonic()


@contextmanager
def scene(at: str, number: int = 0, own: OwnServer | None = None) -> Iterator[Scene]:
    """Yield a fresh database with its workers' home; both go afterwards.

    Args:
        at: the server.
        number: of the trial.
        own: the server, if the trial may stop it.
    """
    name = f"faults_{secrets.token_hex(5)}"
    home = Path(tempfile.mkdtemp(prefix="trib-faults-"))
    url = fresh_database(at, name)
    Migrator(url).up()
    try:
        with ExitStack() as stack:
            yield Scene(url, home, stack, number, own)
    finally:
        with psycopg.connect(url_of(at, "postgres"), autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")
        shutil.rmtree(home, ignore_errors=True)
