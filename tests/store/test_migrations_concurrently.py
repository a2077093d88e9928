"""Many processes at once; the lock."""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg
import pytest

from tributary_daemon.errors import SchemaError
from tributary_daemon.store.migrations import Migrator
from tributary_daemon.store.migrations.lock import migration_lock

WAITER = """
import sys
from tributary_daemon.store.migrations.lock import migration_lock
with migration_lock(sys.argv[1], "x", timeout=30, waiting=lambda: print("waiting", flush=True)):
    pass
"""
PROGRAM = """
import sys, pathlib
from tributary_daemon.store.migrations import Migrator
report = Migrator(sys.argv[1], directory=pathlib.Path(sys.argv[2]), table="app").up()
print(len(report.names))
"""


def test_twenty_ups_at_once_apply_everything_once(empty_database, tmp_path):
    for number in range(3):
        name = f"2026010100000{number}_t{number}"
        slow = "select pg_sleep(0.5);" if number == 1 else ""
        (tmp_path / f"{name}.up.sql").write_text(f"create table t{number} (id int); {slow}")
    # waits for every older snapshot of the database: a waiter that held one would block it for ever
    (tmp_path / "20260101000009_index.up.sql").write_text(
        "-- trib:no-transaction\ncreate index concurrently t0_id on t0 (id);\n--bun:split\n"
        "create index concurrently t1_id on t1 (id)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, empty_database, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    answers = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0] * 20, answers
    assert sorted(int(out) for out, _ in answers) == [0] * 19 + [4]
    with psycopg.connect(empty_database) as connection:
        assert connection.execute(
            "select count(*) from tributary.app where state = 'applied'"
        ).fetchone() == (4,)


def test_a_killed_migration_frees_the_lock_and_shows_as_interrupted(empty_database, tmp_path, eventually):
    (tmp_path / "20260101000001_slow.up.sql").write_text(
        "-- trib:no-transaction\ncreate table if not exists slow (id int);\n--bun:split\nselect pg_sleep(60)"
    )
    (tmp_path / "20260101000001_slow.down.sql").write_text("drop table slow")
    migrator = Migrator(empty_database, directory=tmp_path, table="app")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, empty_database, str(tmp_path)])
    with psycopg.connect(empty_database, autocommit=True) as connection:
        sleeping = (
            "select pid from pg_stat_activity where datname = current_database()"
            " and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
        )
        (pid,) = eventually(lambda: connection.execute(sleeping).fetchone(), what="the slow statement")
        process.kill()
        process.wait()
        assert [line.state for line in migrator.status()] == ["interrupted"]
        connection.execute("select pg_terminate_backend(%s)", (pid,))
    (tmp_path / "20260101000001_slow.up.sql").write_text("create table if not exists slow (id int)")
    assert migrator.up().names == ("20260101000001_slow",)
    assert [line.state for line in migrator.status()] == ["applied"]


def test_a_lock_that_never_frees_ends_in_a_clear_error(empty_database, tmp_path):
    said = []
    (tmp_path / "20260101000001_one.up.sql").write_text("select 1")
    migrator = Migrator(
        empty_database, directory=tmp_path, table="app", lock_timeout=0.2, progress=said.append
    )
    with (
        migration_lock(empty_database, "tributary.app", timeout=5, waiting=lambda: None),
        pytest.raises(SchemaError, match="another migration has been running"),
    ):
        migrator.up()
    assert said == ["waiting for another migration to end"]
    assert migrator.up().names == ("20260101000001_one",)


def test_waiting_holds_no_snapshot_and_no_transaction_between_tries(empty_database, eventually):
    with psycopg.connect(empty_database, autocommit=True) as connection:
        waiter = subprocess.Popen(
            [sys.executable, "-c", WAITER, empty_database],
            stdout=subprocess.PIPE,
            text=True,
        )
        with migration_lock(empty_database, "x", timeout=5, waiting=lambda: None):
            waiter.stdout.readline()
            seen = set()
            deadline = time.monotonic() + 10
            while "idle" not in seen and time.monotonic() < deadline:
                rows = connection.execute(
                    "select state, backend_xmin from pg_stat_activity"
                    " where application_name = 'trib migrate lock'"
                ).fetchall()
                assert all(xmin is None for state, xmin in rows if state != "active")
                seen |= {state for state, _ in rows}
        assert "idle" in seen
        waiter.stdout.close()
        assert waiter.wait(30) == 0
