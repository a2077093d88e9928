"""A restarted PostgreSQL, a killed `trib run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psycopg
import pytest

from tributary_daemon.daemon import embedded
from tributary_daemon.store.migrations import Migrator

SLOW = """\
name: shop.slow.v1
steps:
  nap: {task: trib.sleep.v1, with: {seconds: 300}}
  after: {task: trib.noop.v1, needs: nap}
"""


def _start(env, cwd, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "tributary_daemon", *args],
        env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def started(trib_env, tmp_path):
    """Return a function that starts a `trib` command; it and its children are killed at the end."""
    processes = []

    def start(*args, **env):
        processes.append(_start({**trib_env, **env}, tmp_path, *args))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_killed_trib_run_is_cancelled_by_whoever_leads(worker, database, started, tmp_path, eventually):
    worker("--processes", "1")
    (tmp_path / "slow.yaml").write_text(SLOW)
    running = started("run", "slow.yaml", "--processes", "1")
    with psycopg.connect(database, autocommit=True) as sql:

        def row():
            return sql.execute(
                "select queue, state::text from tributary.steps where step_id = 'nap'"
            ).fetchone()

        eventually(lambda: (row() or ("", ""))[1] == "running", 30, "it runs")
        # private: the other worker has a free slot, and leaves it alone
        assert row()[0].startswith("@")
        os.killpg(running.pid, signal.SIGKILL)
        # nobody waits here until it has been silent for 15 seconds
        sql.execute(
            "update tributary.workers set beat_at = beat_at - interval '15 seconds' where pid = %s",
            (running.pid,),
        )
        eventually(
            lambda: sql.execute("select state::text, reason from tributary.runs").fetchone()
            == ("cancelled", "runner_gone"),
            40, "it is cancelled",
        )  # fmt: skip
        assert row()[1] == "cancelled"


@pytest.mark.skipif(sys.platform == "win32", reason="the embedded server needs a POSIX system")
def test_a_restarted_postgres_is_survived_by_the_worker_and_by_who_waits(
    worker, started, tmp_path, eventually
):
    home = tmp_path / "cluster"
    url = embedded.ensure_running(home)
    try:
        Migrator(url).up()
        running = worker("--processes", "1", env={"TRIB_DATABASE_URL": url})
        waiting = started(
            "submit", "trib.sleep.v1", "-i", "seconds=4", "--wait", "-o", "json", TRIB_DATABASE_URL=url
        )

        def state():
            with psycopg.connect(url) as sql:
                row = sql.execute("select state::text from tributary.steps").fetchone()
                return row and row[0]

        eventually(lambda: state() == "running", 30, "it runs")
        with psycopg.connect(url) as sql:
            (child,) = sql.execute(
                "select pid from tributary.processes where worker_id is not null"
            ).fetchone()
        _crash(home, eventually)
        assert embedded.ensure_running(home) == url
        said, wrote = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, wrote
        document = json.loads(said)
        assert (document["state"], document["attempt"]) == ("completed", 1)
        # a process that comes up while the database is away waits for it, too
        _crash(home, eventually)
        os.kill(child, signal.SIGKILL)
        eventually(lambda: "process died" in running.log(), 20, "its supervisor sees it")
        assert embedded.ensure_running(home) == url
        again = started("submit", "trib.noop.v1", "--wait", TRIB_DATABASE_URL=url)
        _, wrote = again.communicate(timeout=60)
        assert again.returncode == 0, wrote
        assert running.process.poll() is None
        assert running.stop() == 0
    finally:
        embedded.stop(home)


def _crash(home, eventually):
    file = next(home.rglob("postmaster.pid"))
    os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
    eventually(lambda: not file.exists(), 20, "the server is down")
