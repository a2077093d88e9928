"""Connections beside the work of a process: kept, replaced where they are gone, never given back in doubt."""

from __future__ import annotations

import threading

import pytest

from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store.db import Query
from tributary_daemon.store.side import Side


def pid():
    rows = yield Query("select pg_backend_pid()")
    return rows[0][0]


def asleep(turn):
    rows = yield Query("select pg_backend_pid()")
    turn.wait(30)
    return rows[0][0]


@pytest.fixture
def side(database):
    made = Side(lambda: database)
    yield made
    made.close()


def test_a_connection_is_used_again(side):
    assert side.run(pid) == side.run(pid)


def test_one_that_was_cut_meanwhile_is_replaced(side, connection):
    connection.autocommit = True
    first = side.run(pid)
    connection.execute("select pg_terminate_backend(%s, 5000)", [first])
    assert side.run(pid) != first


def test_one_to_elsewhere_is_not_used(database):
    at = [database]
    side = Side(lambda: at[0])
    first = side.run(pid)
    at[0] = f"{database}&application_name=elsewhere"
    assert side.run(pid) != first
    side.close()


def test_threads_have_one_each_and_four_are_kept(side):
    turn = threading.Barrier(6)
    pids = set()
    threads = [threading.Thread(target=lambda: pids.add(side.run(lambda: asleep(turn)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 6
    assert len(side._idle) == 4


def test_what_was_interrupted_is_closed(side):
    def interrupted():
        yield Query("select 1")
        raise KeyboardInterrupt

    side.run(pid)
    with pytest.raises(KeyboardInterrupt):
        side.run(interrupted)
    assert side._idle == []


def test_what_cannot_be_reached_is_said():
    side = Side(lambda: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(DatabaseUnreachable):
        side.run(pid)
