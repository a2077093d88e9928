"""Connections that stay open while nothing passes: with the built-in settings all are noticed within 30 s."""

from __future__ import annotations

import time

import pytest

from tests.servers import Relay

LIMIT = 30


@pytest.fixture
def relay(database, trib_env):
    """A relay that every child process of the test goes through."""
    opened = Relay(database)
    trib_env["TRIB_DATABASE_URL"] = opened.url
    yield opened
    opened.close()


def test_every_connection_of_a_worker_goes_silent(desk, relay, crew):
    worker = crew("--name", "half")
    hold = desk.submit("t.hold.v1", {"gate": "gate"})
    effects = [
        desk.submit(name, {"gate": "gate"}, retry='{"delay": 0.05, "backoff": "fixed"}')
        for name in ("t.effect.v1", "t.aeffect.v1")
    ]
    desk.noted("began", hold)
    desk.noted("inserted", count=2)
    began = time.monotonic()
    # supervisor, LISTEN, database thread, two steps; the server, too, hears nothing more of them
    assert relay.swallow() >= 5
    desk.open()
    late = desk.submit("t.note.v1")
    desk.until(late, "completed", LIMIT)
    desk.until(hold, "completed", LIMIT - (time.monotonic() - began))
    print(f"the database thread was back after {time.monotonic() - began:.1f} s")
    for run in effects:
        desk.until(run, "completed", 10 + LIMIT - (time.monotonic() - began))
    print(f"steps with a connection of their own ended after {time.monotonic() - began:.1f} s")
    # the supervisor was back in time: no lease was lost, so only lost transactions ran twice
    assert desk.row(hold)[1:] == (1, None, 0)
    assert desk.one("select count(*), count(distinct id) from effects") == (2, 2)
    assert "worker fenced" not in worker.log()
    assert "process died" not in worker.log()
    desk.wait(lambda: desk.one("select bool_and(wants_wake) from tributary.workers") == (True,), 10, "LISTEN")


def test_the_supervisor_alone_goes_silent_and_keeps_its_leases(desk, relay, crew):
    worker = crew("--name", "half")
    hold = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", hold)
    (before,) = desk.one("select max(beat_at) from tributary.workers")
    assert relay.swallow(b"trib half\0") == 1
    began = time.monotonic()
    desk.wait(lambda: "database lost" in worker.log(), LIMIT, "it is noticed")
    print(f"the supervisor noticed after {time.monotonic() - began:.1f} s")
    desk.wait(lambda: desk.one("select max(beat_at) from tributary.workers")[0] > before, 5, "it beats again")
    assert time.monotonic() - began < 10
    desk.open()
    desk.until(hold, "completed")
    assert desk.row(hold)[1:] == (1, None, 0)
    assert "worker fenced" not in worker.log()


def test_listen_alone_goes_silent(desk, relay, crew):
    worker = crew("--name", "half")
    open_now = (
        "select count(*) from pg_stat_activity where application_name = 'trib half listen'"
        " and datname = current_database() and query ilike 'listen tributary_probe%%'"
    )
    desk.wait(lambda: desk.one(open_now) == (1,), 10, "LISTEN")
    assert relay.swallow(b"trib half listen\0") == 1
    began = time.monotonic()
    desk.wait(lambda: "listen silent" in worker.log(), LIMIT, "it is noticed")
    print(f"the silence of LISTEN was noticed after {time.monotonic() - began:.1f} s")
    # the server keeps the old one until it, too, notices
    desk.wait(lambda: desk.one(open_now)[0] >= 1, 10, "it listens again")
    desk.until(desk.submit("t.note.v1"), "completed")


def test_nothing_passes_for_a_while_not_even_a_login(desk, relay, crew):
    worker = crew("--name", "half")
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", run)
    relay.swallow_new = True
    relay.swallow()
    desk.wait(lambda: "database lost" in worker.log(), LIMIT, "it is noticed")
    relay.swallow_new = False
    began = time.monotonic()
    desk.open()
    desk.until(desk.submit("t.note.v1"), "completed", LIMIT)
    print(f"worked again {time.monotonic() - began:.1f} s after the network was back")
    desk.until(run, "completed", LIMIT)
    assert worker.stop() == 0
