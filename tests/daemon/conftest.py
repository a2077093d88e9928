"""Real workers on a database of their own: submit, look, wait, kill."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.worker_process import launch, own_env
from tributary_daemon.app import Client

BROKEN = """\
from tributary_daemon import handler

@handler("broken.first.v1")
def first(x: int) -> int:
    return x

raise RuntimeError("this module is broken")
"""
OUTAGES = "outages: takes a database away in one more way; only with --outages"
HANDLERS = Path(__file__).with_name("handlers_for_tests.py")


def pytest_addoption(parser):
    parser.addoption("--outages", action="store_true", help="take databases away in every way")


def pytest_configure(config):
    config.addinivalue_line("markers", OUTAGES)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--outages", default=False):
        more = [item for item in items if item.get_closest_marker("outages")]
        config.hook.pytest_deselected(items=more)
        items[:] = [item for item in items if item not in more]


@dataclass
class Desk:
    """Where a test submits work, and sees what became of it."""

    url: str
    home: Path
    sql: psycopg.Connection
    wait: object
    log: object = None
    worker: object = None

    def submit(self, name, payload=None, **options):
        """Submit an intent from plain SQL; return its id."""
        given = "".join(f", {key} => %({key})s" for key in options)
        row = self.sql.execute(
            f"select tributary.submit_intent(%(name)s, %(payload)s{given})",
            {"name": name, "payload": Jsonb(payload or {}), **options},
        ).fetchone()
        return str(row[0])

    def run(self, text, inputs=None):
        """Submit a workflow, YAML text; return its id."""
        path = self.home / f"{secrets.token_hex(4)}.yaml"
        path.write_text(text)
        with Client(self.url) as client:
            return str(client.submit(str(path), inputs or {}).id)

    def register(self, path):
        """Register a workflow file."""
        with Client(self.url) as client:
            client.register(str(path))

    def one(self, query, *params):
        """Return the first row of a query."""
        return self.sql.execute(query, params).fetchone()

    def row(self, run_id, ordinal=0):
        """Return (state, attempt, reason, crashes) of a step or intent."""
        return self.one(
            "select state::text, attempt, reason, crashes from tributary.steps"
            " where run_id = %s and ordinal = %s",
            run_id, ordinal,
        )  # fmt: skip

    def state(self, run_id, ordinal=0):
        """Return the state of a step or intent."""
        return self.row(run_id, ordinal)[0]

    def result(self, run_id, ordinal=0):
        """Return the result of a step or intent."""
        return self.one(
            "select result from tributary.steps where run_id = %s and ordinal = %s", run_id, ordinal
        )[0]

    def errors(self, run_id):
        """Return (attempt, outcome, reason, message) of the attempts that did not end well."""
        return self.sql.execute(
            "select attempt, outcome, error ->> 'reason', error ->> 'message' from tributary.attempts"
            " where run_id = %s order by ordinal, seq",
            (run_id,),
        ).fetchall()

    def until(self, run_id, state, timeout=20, ordinal=0):
        """Wait until a step or intent is in a state."""
        self.wait(
            lambda: self.state(run_id, ordinal) == state,
            timeout,
            f"{run_id}/{ordinal} {state}; now {self.row(run_id, ordinal)}",
        )

    def until_run(self, run_id, state, timeout=20):
        """Wait until a run is in a stored state."""
        query = "select state::text from tributary.runs where run_id = %s"
        self.wait(lambda: self.one(query, run_id)[0] == state, timeout, f"run {run_id} {state}")

    def notes(self, what=None, run_id=None):
        """Return what handlers noted."""
        path = self.home / "notes.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [n for n in found if what in (None, n["what"]) and run_id in (None, n["id"])]

    def noted(self, what, run_id=None, count=1, timeout=20):
        """Wait until handlers have noted something ``count`` times; return the notes."""
        self.wait(
            lambda: len(self.notes(what, run_id)) >= count, timeout, f"{count} x {what}: {self.notes()}"
        )
        return self.notes(what, run_id)

    def open(self, gate="gate"):
        """Let handlers that wait for a gate go on."""
        (self.home / gate).touch()

    def pids(self):
        """Return the process ids of the operating system of registered processes."""
        return [
            row[0] for row in self.sql.execute("select pid from tributary.processes order by name").fetchall()
        ]

    def cut(self, pattern):
        """Terminate the backends whose application_name matches; return how many."""
        return self.one(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and application_name like %s and pid <> pg_backend_pid()",
            pattern,
        )[0]


@pytest.fixture
def desk(database, tmp_path, eventually):
    """The test's view of its database and of what its handlers noted."""
    with psycopg.connect(database, autocommit=True, application_name="test") as sql:
        sql.execute("create table effects (id text, attempt int, pid int)")
        yield Desk(database, tmp_path, sql, eventually)


@pytest.fixture
def shared(shared_desk):
    """A desk with one worker of two processes that all tests of a module share; shell steps are allowed."""
    # what an earlier test cost is replaced by now
    shared_desk.wait(lambda: len(shared_desk.pids()) == 2, 20, "both processes are there")
    return shared_desk


@pytest.fixture(scope="module")
def shared_desk(server, template, tmp_path_factory, eventually, nursery):
    name = f"test_{secrets.token_hex(6)}"
    home = tmp_path_factory.mktemp("shared")
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    shutil.copy(HANDLERS, home / "handlers_for_tests.py")
    for more in ("flows_for_tests.py", "cached_handlers.py"):
        shutil.copy(HANDLERS.with_name(more), home / more)
    (home / "broken_handlers.py").write_text(BROKEN)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
    try:
        with psycopg.connect(url, autocommit=True, application_name="test") as sql:
            sql.execute("create table effects (id text, attempt int, pid int)")
            process = launch(
                nursery,
                [
                    "worker", "--processes", "2", "--enable-shell",
                    "--queues", "default,heavy:2,single:1", "--name", "shared",
                    "--import", "./broken_handlers.py", "--import", "./handlers_for_tests.py",
                    "--import", "./flows_for_tests.py", "--import", "./cached_handlers.py",
                ],
                # a busy machine is no outage of the cache
                {**own_env(url, home), "TRIB_CACHE_TIMEOUT": "40s"}, home, home / "log",
            )  # fmt: skip
            desk = Desk(url, home, sql, eventually)
            desk.log = lambda: (home / "log").read_text(errors="replace")
            desk.worker = process
            try:
                eventually(
                    lambda: len(re.findall("process started", desk.log())) == 2, 40, "the worker is ready"
                )
                yield desk
                process.terminate()
                process.wait(20)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                print(desk.log())
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def crew(worker, tmp_path):
    """Return a function that starts a worker with the handlers of these tests."""
    shutil.copy(HANDLERS, tmp_path / "handlers_for_tests.py")

    def start(*args, processes=1, **more):
        return worker("--import", "./handlers_for_tests.py", "--processes", processes, *args, **more)

    return start


@pytest.fixture
def rough(crew, tmp_path):
    """Return a function that starts a worker with those handlers and with the ones that misbehave."""
    shutil.copy(HANDLERS.with_name("rough_handlers.py"), tmp_path / "rough_handlers.py")

    def start(*args, **more):
        return crew("--import", "./rough_handlers.py", *args, **more)

    return start


@contextmanager
def _frozen(pid):
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


@pytest.fixture
def frozen():
    """Return a context manager during which a worker and its children stand still."""
    return _frozen
