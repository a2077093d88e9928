"""LISTEN: what is heard, and how a connection that has gone deaf is noticed."""

from __future__ import annotations

import time

import pytest

from tests.servers import Relay
from tributary_daemon import events
from tributary_daemon.store import db
from tributary_daemon.store.notify import WAKE, Listener


@pytest.fixture
def emitted():
    found = []
    detach = events.attach(found.append)
    yield found
    detach()


@pytest.fixture
def listener(database):
    relay = Relay(database)
    opened = Listener(relay.url, "trib test listen", quiet=0.2, patience=0.3)
    opened.relay = relay
    yield opened
    opened.close()
    relay.close()


def test_wake_ups_are_heard_and_its_own_probe_is_not_told(listener, connection, eventually):
    assert not listener.listening
    assert listener.ensure()
    assert listener.listening
    assert not listener.ensure()
    # a probe is sent after a silence only, and its echo is nobody's business
    assert eventually(lambda: listener.probe(connection) or listener._asked_at, what="it asks")
    eventually(lambda: listener.receive() or listener._asked_at is None, what="the echo comes")
    assert listener.listening
    connection.execute("select pg_notify(%s, 'default')", (WAKE,))
    assert eventually(listener.receive) == [(WAKE, "default")]


def test_what_one_listener_asks_answers_for_all(listener, connection, database, eventually):
    other = Listener(database, "trib other listen", quiet=0.2)
    assert other.ensure()
    listener.ensure()
    try:
        # however many there are, one of them asks in each silence
        assert eventually(lambda: listener.probe(connection) or listener._asked_at, what="it asks")
        eventually(lambda: listener.receive() or listener._asked_at is None, what="the echo comes")
        eventually(
            lambda: other.receive() == [] and time.monotonic() - other._heard_at < 0.2, what="here, too"
        )
        assert other.question() is None
    finally:
        other.close()


def test_a_deaf_connection_is_replaced(listener, connection, emitted, eventually):
    listener.ensure()
    assert listener.relay.swallow() == 1
    eventually(lambda: listener.probe(connection) or listener._asked_at, what="it asks")
    # opening anew is told, so that its owner looks for what it has missed
    assert eventually(listener.ensure, what="it starts anew")
    (silent,) = [event for event in emitted if isinstance(event, events.ListenSilent)]
    assert silent.silent > 0.3
    connection.execute("select pg_notify(%s, 'default')", (WAKE,))
    assert eventually(listener.receive) == [(WAKE, "default")]


def test_an_answer_that_nobody_has_read_yet_is_an_answer(listener, connection, emitted, eventually):
    listener.ensure()
    eventually(lambda: listener.probe(connection) or listener._asked_at, what="it asks")
    eventually(lambda: listener._silent_for() > 0.4, what="its owner was busy")
    assert not listener.ensure()
    assert emitted == []
    assert listener.receive() == []
    assert listener._asked_at is None


def test_through_a_pooler_it_gives_up_and_says_so(listener, monkeypatch, emitted):
    opened = []

    def connect(*args, **options):
        connection = db.connect(*args, **options)
        connection.pooled = True
        opened.append(connection)
        return connection

    monkeypatch.setattr("tributary_daemon.store.notify.connect", connect)
    for _ in range(3):
        assert not listener.ensure()
    assert [connection.closed for connection in opened] == [True]
    (said,) = emitted
    assert "TRIB_LISTEN_URL" in said.hint
