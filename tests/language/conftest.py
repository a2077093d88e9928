"""One worker of two processes for all tests of a module, and what to do with it: the language as it runs."""

from __future__ import annotations

import os
import re
import secrets
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.worker_process import launch, own_env
from tributary_daemon.app import Client

HANDLERS = '''\
import os
import time
from pathlib import Path

from tributary_daemon import Abort, Retry, Step, handler

HOME = Path(os.environ["TRIB_HOME"])


@handler("l.gate.v1")
def gate(name: str, step: Step) -> str:
    """Wait until a test opens the gate; note when it began and ended."""
    with (HOME / "notes").open("a") as notes:
        notes.write(f"began {name} {step.attempt}\\n")
    while not (HOME / f"open-{name}").exists() and not (HOME / "open-all").exists():
        if step.cancelled:
            raise RuntimeError("cancelled")
        time.sleep(0.005)
    with (HOME / "notes").open("a") as notes:
        notes.write(f"ended {name} {step.attempt}\\n")
    return name


@handler("l.add.v1")
def add(numbers: list[int]) -> int:
    return sum(numbers)


@handler("l.flaky.v1", max_attempts=1)
def flaky(name: str) -> str:
    """Fail until a test mends it."""
    if not (HOME / f"mended-{name}").exists():
        raise RuntimeError(f"{name} is broken")
    return name


@handler("l.count.v1")
def count(name: str) -> int:
    """Return how often it was asked."""
    with (HOME / f"count-{name}").open("a") as calls:
        calls.write("x")
        return calls.tell()


@handler("l.tries.v1", max_attempts=1)
def tries(name: str, step: Step) -> str:
    """Fail until a test mends it, then wait at a gate."""
    return gate(flaky(name), step)


@handler("l.mixed.v1", max_attempts=1)
def mixed(name: str, step: Step) -> str:
    """Wait at a gate for ever, or fail."""
    return gate(name, step) if name == "never" else flaky(name)


class Sold(LookupError):
    """A class of the user's."""


@handler("l.sold.v1")
def sold() -> None:
    raise Sold("row 7 is sold out")


@handler("l.abort.v1")
def abort() -> None:
    raise Abort("enough", run=True)


@handler("u.note.v1")
def note(text: str) -> str:
    """Write a line."""
    with (HOME / "bookings").open("a") as bookings:
        bookings.write(f"{text}\\n")
    return text


@handler("u.book.v1", max_attempts=1)
def book(what: str) -> str:
    if what == "broken":
        raise RuntimeError("nothing is left")
    note(f"booked {what}")
    return f"b-{what}"


@handler("u.cancel.v1")
def cancel(booking: str) -> None:
    note(f"cancelled {booking}")


@handler("u.pay.v1", max_attempts=1)
def pay(name: str) -> str:
    """Fail until a test mends it."""
    return flaky(name)


@handler("u.broken.v1", max_attempts=2, retry=Retry(delay=0.05))
def broken() -> None:
    raise RuntimeError("cannot be undone")


@handler("u.dies.v1")
def dies(booking: str, step: Step) -> None:
    note(f"dies {booking}")
    if step.attempt == 1:
        os._exit(3)
'''


@dataclass
class Language:
    """Where a test submits workflows, and sees what became of them."""

    url: str
    home: object
    client: Client
    sql: psycopg.Connection
    wait: object
    process: object
    nursery: object

    def start(self, text, inputs=None, **options):
        """Submit a workflow's text; return its id."""
        path = self.home / f"{secrets.token_hex(4)}.yaml"
        path.write_text(text)
        return str(self.client.submit(str(path), inputs or {}, **options).id)

    def run(self, text, inputs=None, **options):
        """Submit a workflow's text and return its document once it has ended."""
        return self.ended(self.start(text, inputs, **options))

    def ended(self, run_id, timeout=30):
        """Wait for the end of a run; return its document."""
        self.wait(lambda: self.client.get(run_id).ended, timeout, lambda: self.states(run_id))
        return self.client.get(run_id)

    def states(self, run_id):
        """Return step id -> state as shown."""
        return {step.id: step.state for step in self.client.get(run_id).steps.values()}

    def until(self, run_id, step, state, timeout=20):
        """Wait until a step is in a state as shown."""
        self.wait(lambda: self.states(run_id)[step] == state, timeout, lambda: self.states(run_id))

    def open(self, name):
        """Let handlers that wait at a gate go on."""
        (self.home / f"open-{name}").touch()

    def mend(self, name):
        """Let a flaky handler succeed."""
        (self.home / f"mended-{name}").touch()

    def notes(self):
        """Return what gates noted: (began | ended, name)."""
        path = self.home / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(line.split()[:2]) for line in lines]

    def row(self, run_id, step):
        """Return (name, queue, state, reason, priority, attempt, max_attempts, run_at) of a step's row."""
        return self.one(
            "select name, queue, state::text, reason, priority, attempt, max_attempts, run_at"
            " from tributary.steps where run_id = %s and step_id = %s order by ordinal limit 1",
            run_id, step,
        )  # fmt: skip

    def why(self, run_id, step):
        """Return the one reason for the state of a step."""
        (told,) = self.client.why(run_id, step).reasons
        return told

    @contextmanager
    def serving(self, queue):
        """Run a second worker, of one process, that serves another queue."""
        process = launch(
            self.nursery,
            ["worker", "--processes", "1", "--queues", queue, "--name", f"serves-{queue}",
             "--import", "./language_handlers.py"],
            own_env(self.url, self.home), self.home, self.home / f"log-{queue}",
        )  # fmt: skip
        try:
            yield process
            process.terminate()
            process.wait(20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def one(self, query, *params):
        """Return the first row of a query."""
        return self.sql.execute(query, params).fetchone()


@pytest.fixture(scope="module")
def lang(server, template, tmp_path_factory, eventually, nursery):
    """A database with a worker of two processes, shell steps allowed."""
    name = f"test_{secrets.token_hex(6)}"
    home = tmp_path_factory.mktemp("language")
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    (home / "language_handlers.py").write_text(HANDLERS)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
    try:
        with (
            psycopg.connect(url, autocommit=True, application_name="test") as sql,
            Client(url) as client,
        ):
            told = home / "log"
            process = launch(
                nursery,
                ["worker", "--processes", "2", "--enable-shell", "--name", "language",
                 "--import", "./language_handlers.py"],
                {**own_env(url, home), "TRIB_SECRETS_DIR": str(home / "secrets")}, home, told,
            )  # fmt: skip
            try:
                eventually(
                    lambda: len(re.findall("process started", told.read_text(errors="replace"))) == 2,
                    40, "the worker is ready",
                )  # fmt: skip
                yield Language(url, home, client, sql, eventually, process, nursery)
                process.terminate()
                process.wait(20)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                print(told.read_text(errors="replace"))
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def at_rest(lang):
    """Stop the worker where it is when called; `end` lets it go on, as the end of the test does."""
    stopped = []

    def stop():
        group = os.getpgid(lang.process.pid)
        os.killpg(group, signal.SIGSTOP)
        stopped.append(group)

    def go_on():
        while stopped:
            os.killpg(stopped.pop(), signal.SIGCONT)

    stop.end = go_on
    yield stop
    go_on()
