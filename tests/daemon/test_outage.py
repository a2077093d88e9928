"""What is said of a database that does not serve: each reason once, its end once."""

from __future__ import annotations

import re
import socket

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tributary_daemon import events
from tributary_daemon.daemon import outage as outage_module
from tributary_daemon.daemon.outage import CALM, Outage
from tributary_daemon.errors import DatabaseError, DatabaseUnreachable
from tributary_daemon.store import faults
from tributary_daemon.store.db import Query, run

GONE = DatabaseUnreachable("no PostgreSQL answers at db:5432", hint="start the server")


@pytest.fixture
def clock(monkeypatch):
    at = [100.0]
    monkeypatch.setattr(outage_module.time, "monotonic", lambda: at[0])
    return at


@pytest.fixture
def heard():
    told = []
    detach = events.attach(told.append)
    yield told
    detach()


def test_each_reason_is_told_once_and_the_end_once(clock, heard):
    outage = Outage("w/1")
    outage.served()
    assert heard == []
    for _ in range(50):
        clock[0] += 1
        outage.failed(GONE)
        outage.failed(psycopg.errors.DiskFull('could not extend file "base/5/1"\nHINT: free some'))
    assert heard == [
        events.DatabaseLost(process="w/1", error=GONE.message, hint="start the server"),
        events.DatabaseLost(
            process="w/1", error='the disk of the database is full: could not extend file "base/5/1"',
            hint="free space on its machine; nothing was changed, and it is safe to try again",
        ),
    ]  # fmt: skip
    outage.served()
    clock[0] += CALM
    outage.served()
    assert outage.trouble is None
    assert heard[2:] == [events.DatabaseBack(process="w/1", seconds=49.0, times=100)]
    clock[0] += 100
    outage.served()
    outage.failed(GONE)
    assert len(heard) == 4, "another outage is told anew"


def test_who_lets_in_and_then_refuses_is_not_back(clock, heard):
    outage = Outage("w/1")
    for _ in range(20):
        outage.failed(GONE)
        outage.served()
        clock[0] += CALM - 0.1
        outage.served()
    assert len(heard) == 1
    assert outage.trouble.message == GONE.message


def refused(connection, statement):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement)
    return faults.trouble(caught.value)


def test_trouble_is_the_same_whatever_its_numbers(connection):
    one = refused(connection, "select * from tributary.nothing_1")
    other = refused(connection, "select * from tributary.nothing_2")
    assert one.kind == other.kind
    assert one.answers
    assert "trib migrate" in one.hint
    full = refused(connection, "do $$ begin raise sqlstate '53100' using message = 'no room'; end $$")
    assert full.message == "the disk of the database is full: no room"
    assert "free space" in full.hint
    slow = refused(connection, "do $$ begin raise sqlstate '57014' using message = 'cut'; end $$")
    assert "statement_timeout" in slow.hint
    gone = refused(connection, "select pg_terminate_backend(pg_backend_pid())")
    assert not gone.answers


def test_a_reason_is_told_once_by_whichever_way_it_came(connection, heard):
    cut = "do $$ begin raise sqlstate '57014' using message = 'cut'; end $$"
    outage = Outage("w/1")
    with pytest.raises(psycopg.Error) as bare:
        connection.execute(cut)
    outage.failed(bare.value)
    with pytest.raises(DatabaseError) as translated:
        run(connection, (Query(text) for text in [cut]))
    outage.failed(translated.value)
    assert [told.error for told in heard] == ["the database cancelled the statement: cut"]
    assert outage.trouble.answers


@pytest.mark.timeout(120)
def test_a_service_waits_for_its_database_and_says_so_once(database, worker, tmp_path, eventually):
    name = conninfo_to_dict(database)["dbname"]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as admin,
    ):
        path = str(tmp_path / "notify")
        manager.bind(path)
        manager.settimeout(60)
        admin.execute(f"alter database {name} allow_connections false")
        running = worker("--processes", "1", "--name", "patient", env={"NOTIFY_SOCKET": path}, wait=False)
        assert manager.recv(1_000).startswith(b"STATUS=waits for the database: ")
        eventually(lambda: "accepts no connection" in running.log(), 60, running.log)
        admin.execute(f"alter database {name} allow_connections true")
        eventually(lambda: "worker started" in running.log(), 60, running.log)
        assert len(re.findall("database lost", running.log())) == 1
        heard = b""
        while b"READY=1" not in heard:
            heard = manager.recv(1_000)
    assert running.stop() == 0
