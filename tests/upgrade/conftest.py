"""Two releases side by side: this one, and the one before it (previous.toml), as real processes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.upgrade import previous
from tributary_daemon import Migrator

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENDED = ["completed", "skipped", "cancelled", "discarded"]


LARGE = frozenset({"test_commands.py"})


def pytest_addoption(parser):
    parser.addoption("--upgrade", action="store_true", help="long loads, and commands of both releases, too")


def pytest_ignore_collect(collection_path, config):
    return (
        True if collection_path.name in LARGE and not config.getoption("--upgrade", default=False) else None
    )


@pytest.fixture(scope="session")
def old_tree(tmp_path_factory):
    """The tree of the release before, exported from the history of git."""
    if not (ROOT / ".git").exists() and not os.environ.get("CI"):
        pytest.skip("no clone: the release before this one is in the history of git")
    folder = tmp_path_factory.mktemp("previous")
    try:
        previous.export(previous.read().commit, folder)
    except previous.NoHistoryError as error:
        pytest.fail(str(error))
    return folder


@dataclass(frozen=True)
class Release:
    """One of the two: its commands, and its workers."""

    tree: Path
    _trib: object
    _worker: object

    @property
    def env(self):
        return {"PYTHONPATH": str(self.tree)}

    def trib(self, *args, code=0, **more):
        """Run a command; return its standard output."""
        made = self._trib(*args, env=self.env, **more)
        assert made.returncode == code, made.stderr
        return made.stdout

    def answer(self, *args):
        return json.loads(self.trib(*args, "-o", "json"))

    def worker(self, name, *more):
        return self._worker(
            "--name", name, "--processes", 1, "--import", "./upgrade_handlers.py", *more, env=self.env
        )


@pytest.fixture
def new(trib, worker, tmp_path):
    """This release."""
    return Release(ROOT, trib, worker)


@pytest.fixture
def old(old_tree, trib, worker):
    """The release before."""
    return Release(old_tree, trib, worker)


@pytest.fixture(scope="session")
def old_template(server, old_tree):
    """The name of a database as the release before has made it, with the workflows of these tests."""
    name = f"test_{secrets.token_hex(6)}"
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name}")
    env = {**os.environ, "PYTHONPATH": str(old_tree), "TRIB_DATABASE_URL": url, "TRIB_EMBEDDED": "0"}
    # the schema is made by the first command
    subprocess.run(
        [sys.executable, "-m", "tributary_daemon", "register", str(HERE / "mixed.yaml")],
        env=env, cwd=old_tree, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    yield name
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def database(server, old_template, tmp_path):
    """A database of the release before; the handlers lie in the working directory."""
    shutil.copy(HERE / "upgrade_handlers.py", tmp_path)
    with cloned(server, old_template) as url:
        yield url


@contextmanager
def cloned(server, template):
    """Yield the URL of a copy of a database, which is dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def upgraded(database):
    """The schema of the release before, upgraded by this one."""
    Migrator(database).up()
    return database


@dataclass
class Load:
    """Work that is submitted all the time, from plain SQL, and what has to become of it."""

    url: str
    home: Path
    wait: object
    size: int
    intents: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    pause: float = 0.03
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self):
        thread = threading.Thread(target=self._feed)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
        assert self.failure is None, self.failure

    def _feed(self):
        try:
            with psycopg.connect(self.url, autocommit=True, application_name="load") as sql:
                n = 0
                while not self._stop.wait(self.pause):
                    n += 1
                    name = "up.flaky.v1" if n % 7 == 0 else "up.note.v1"
                    row = sql.execute("select tributary.submit_intent(%s, %s)", (name, Jsonb({"n": n})))
                    self.intents.append(str(row.fetchone()[0]))
                    if n % 20 == 1:
                        row = sql.execute(
                            "select tributary.submit_workflow('up.mixed.v1', %s)", (Jsonb({"n": n}),)
                        )
                        self.runs.append(str(row.fetchone()[0]))
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failure = error

    def more(self, count):
        """Wait until so many more intents have been submitted."""
        target = len(self.intents) + count * self.size
        self.wait(lambda: self.failure or len(self.intents) >= target, 60, "more work")
        assert self.failure is None, self.failure

    def notes(self):
        path = self.home / "notes.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def codes(self):
        """Return how many attempts each tree has run so far."""
        return Counter(note["code"] for note in self.notes())

    def check(self):
        """Wait until all has ended, and prove that all went as it had to, and nothing ran twice."""
        with psycopg.connect(self.url, autocommit=True) as sql:
            rest = "select count(*) from tributary.steps where state <> all (%s::tributary.step_state[])"

            def nothing_left():
                return sql.execute(rest, (ENDED,)).fetchone() == (0,)

            self.wait(nothing_left, 90, "everything has ended")
            rows = sql.execute(
                "select run_id::text, state::text, attempt, name from tributary.steps where kind = 'intent'"
                " and run_id = any (%s::uuid[])", (self.intents,)
            ).fetchall()  # fmt: skip
            assert {row[0] for row in rows} == set(self.intents), "an intent is lost"
            odd = [row for row in rows if row[1:3] != ("completed", 2 if row[3] == "up.flaky.v1" else 1)]
            assert odd == []
            states = sql.execute(
                "select run_id::text, state::text, result from tributary.runs"
                " where run_id = any (%s::uuid[])",
                (self.runs,),
            ).fetchall()
            assert len(states) == len(self.runs), "a run is lost"
            assert [row for row in states if row[1] != "completed" or row[2]["n"] is None] == []
            children = sql.execute(
                "select count(*), count(*) filter (where state = 'completed') from tributary.runs"
                " where parent_run_id is not null"
            ).fetchone()
            assert children == (len(self.runs), len(self.runs))

            def no_slot_kept():
                return sql.execute("select count(*) from tributary.group_slots").fetchone() == (0,)

            # the leader sweeps what a finish has left behind
            self.wait(no_slot_kept, 60, "no slot of a group is kept")
        twice = {
            key: count
            for key, count in Counter(
                (n["id"], n["step"], json.dumps(n["args"]), n["attempt"]) for n in self.notes()
            ).items()
            if count > 1
        }
        assert twice == {}, "an attempt ran twice"
        starts = Counter(note["id"] for note in self.notes())
        # first, twice (2), each (3), last, said; the child's only step counts for the child
        assert {run: starts[run] for run in self.runs if starts[run] != 8} == {}


@pytest.fixture
def load(request, database, tmp_path, eventually):
    size = 10 if request.config.getoption("--upgrade", default=False) else 1
    return Load(database, tmp_path, eventually, size)


def complaints(worker):
    """Return the lines of a worker's log that are warnings or worse, and do not speak of failing attempts."""
    found = []
    for line in worker.log().splitlines():
        with suppress(ValueError):
            told = json.loads(line)
            if told["level"] in {"debug", "info"} or told.get("message") == "not yet":
                continue
        found.append(line)
    return found


@pytest.fixture
def connection_to_fresh(server, template):
    """A connection to a database that this release made from nothing."""
    with cloned(server, template) as url, psycopg.connect(url, autocommit=True) as sql:
        yield sql
