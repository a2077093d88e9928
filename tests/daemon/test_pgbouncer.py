"""Everything through PgBouncer in transaction mode: servers change under a connection at every commit."""

from __future__ import annotations

import json
import os
import signal
import time

import psycopg
import pytest

from tests.servers import PGBOUNCER, PgBouncer
from tributary_daemon.store import db, pooler, session
from tributary_daemon.store.migrations import Migrator

RUN = """
inputs: {who: {type: string, default: you}}
steps:
  first:
    task: t.note.v1
    with: {n: 1}
  second:
    task: t.note.v1
    with: {name: "${{ inputs.who }}", n: "${{ steps.first.result.n }}"}
result: "${{ steps.second.result.name }}"
"""


def unavailable():
    if os.environ.get("CI"):
        pytest.fail("no pgbouncer for the tests: apt-get install pgbouncer")
    pytest.skip("no pgbouncer for the tests: apt-get install pgbouncer")


@pytest.fixture
def bouncer(database):
    """PgBouncer in front of the test's database."""
    if PGBOUNCER is None:
        unavailable()
    started = PgBouncer(database)
    started.start()
    yield started
    started.close()


@pytest.fixture
def pooled(bouncer, trib_env):
    """Let every child process of the test go through the pooler."""
    trib_env["TRIB_DATABASE_URL"] = bouncer.url
    return bouncer


def settings_behind(url):
    """Return lock timeouts and numbers of prepared statements of all the server connections of a pool."""
    found = set()
    held = [psycopg.connect(url) for _ in range(3)]
    try:
        for connection in held:
            found.add(
                connection.execute(
                    "select current_setting('lock_timeout'), (select count(*) from pg_prepared_statements)"
                ).fetchone()
            )
    finally:
        for connection in held:
            connection.close()
    return found


def test_a_pooler_is_recognised_and_nothing_is_left_behind_in_it(bouncer, database):
    with db.connect(database, application_name="test", limits=session.OWN) as direct:
        assert not direct.pooled
        assert direct.execute("show lock_timeout").fetchone() == ("5s",)
    with db.connect(
        bouncer.url, application_name="test", limits=session.OWN, prepare_threshold=1
    ) as connection:
        assert connection.pooled
        assert connection.prepare_threshold is None
        for _ in range(3):
            connection.execute("select 1", prepare=True)
        assert pooler.shares_servers(connection, bouncer.url)
    assert settings_behind(bouncer.url) == {("0", 0)}


def test_session_mode_is_told_apart_for_the_doctor_and_treated_alike(database):
    if PGBOUNCER is None:
        unavailable()
    bouncer = PgBouncer(database, mode="session")
    bouncer.start()
    try:
        with db.connect(bouncer.url, application_name="test", prepare_threshold=1) as connection:
            assert connection.pooled
            assert connection.prepare_threshold is None
            assert not pooler.shares_servers(connection, bouncer.url)
    finally:
        bouncer.close()


def test_intents_runs_and_exactly_once_effects(desk, pooled, crew):
    worker = crew("--concurrency", "4", processes=2)
    ids = [desk.submit("t.note.v1", {"n": n}) for n in range(60)]
    effects = [desk.submit(name) for name in ("t.effect.v1", "t.aeffect.v1") * 6]
    flows = [desk.run(RUN, {"who": "Ada"}) for _ in range(3)]
    once = desk.submit("t.once.v1", {"gate": "open"})
    desk.open("open")
    for run in [*ids, *effects, once]:
        desk.until(run, "completed")
        assert desk.row(run)[1] == 1
    for flow in flows:
        desk.until_run(flow, "completed")
    assert desk.one("select count(*), count(distinct id) from effects") == (12, 12)
    failing = desk.submit("t.effect.v1", {"fail": 1}, retry='{"delay": 0.05, "backoff": "fixed"}')
    desk.until(failing, "completed")
    assert desk.one("select count(*), max(attempt) from effects where id = %s", failing) == (1, 2)
    assert settings_behind(pooled.url) == {("0", 0)}
    log = worker.log()
    assert "database lost" not in log
    # LISTEN was not tried, which is said once, with what to do about it
    assert log.count("listen pooled") == 1
    assert "TRIB_LISTEN_URL" in log
    listening = (
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%%'"
    )
    assert desk.one(listening) == (0,)
    wanted = "select bool_or(wants_wake) from tributary.workers"
    desk.wait(lambda: desk.one(wanted) == (False,), 5, "nobody has to send notifications")
    assert worker.stop() == 0


def test_a_cancel_reaches_a_step_without_a_notification(desk, pooled, crew):
    crew()
    run = desk.submit("t.hold.v1", {"gate": "never"})
    desk.noted("began", run)
    desk.one("select tributary.cancel(%s)", run)
    desk.noted("cancelled", run)


def test_the_commands(desk, pooled, crew, trib, tmp_path):
    crew("--name", "pooled")
    (tmp_path / "flow.yaml").write_text(RUN)
    said = trib("submit", "flow.yaml", "-i", "who=Ada", "--wait", "-o", "json")
    assert said.returncode == 0, said.stderr
    run = json.loads(said.stdout)["id"]
    shown = trib("status", run, "-o", "json")
    assert json.loads(shown.stdout)["result"] == "Ada"
    alone = trib("run", "flow.yaml", "--import", "./handlers_for_tests.py", "--processes", "1")
    assert alone.returncode == 0, alone.stderr
    for command in (["list"], ["workers"], ["events", run], ["handlers"], ["queue", "list"], ["dlq", "list"]):
        done = trib(*command)
        assert done.returncode == 0, done.stderr
    doctor = json.loads(trib("doctor", "-o", "json").stdout)
    (finding,) = [line for line in doctor if line["check"] == "pooler"]
    assert finding["level"] == "warn"
    assert "transaction mode" in finding["message"]
    assert "TRIB_LISTEN_URL" in finding["hint"]


def test_migrations(server, empty_database):
    if PGBOUNCER is None:
        unavailable()
    bouncer = PgBouncer(empty_database, pool_size=2)
    bouncer.start()
    try:
        Migrator(bouncer.url).up()
        with db.connect(bouncer.url, application_name="test") as connection:
            assert connection.execute("select tributary.shard_count()").fetchone() == (1,)
        Migrator(bouncer.url).down()
    finally:
        bouncer.close()


def test_listen_goes_past_the_pooler(desk, pooled, crew, database):
    worker = crew(
        "--name", "ears", env={"TRIB_LISTEN_URL": database, "TRIB_POLL_INTERVAL": "2s", "TRIB_BEAT": "2s"}
    )
    desk.wait(
        lambda: desk.one("select bool_or(wants_wake) from tributary.workers") == (True,), 10, "it listens"
    )
    waits = []
    for _ in range(5):
        began = time.monotonic()
        desk.until(desk.submit("t.note.v1"), "completed")
        waits.append(time.monotonic() - began)
    # polling alone would take a second on average
    assert sorted(waits)[2] < 0.5
    assert "listen pooled" not in worker.log()


def test_a_restart_of_the_pooler_under_load_loses_nothing(desk, pooled, crew):
    worker = crew("--concurrency", "4", processes=2)
    ids = [desk.submit("t.note.v1", {"n": n}) for n in range(20)]
    holds = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(2)]
    desk.noted("began", count=2)
    for how in (signal.SIGKILL, signal.SIGTERM):
        ids += [desk.submit("t.note.v1", {"n": n}) for n in range(100)]
        pooled.stop(how)
        pooled.start()
        began = time.monotonic()
        probe = desk.submit("t.note.v1")
        desk.until(probe, "completed", 5)
        print(f"worked again {time.monotonic() - began:.2f} s after the restart")
        ids.append(probe)
    desk.open()
    for run in [*ids, *holds]:
        desk.until(run, "completed")
    assert {desk.row(run)[1] for run in holds} == {1}
    assert "process died" not in worker.log()
