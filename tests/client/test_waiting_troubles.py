"""Waiting where notifications are lost, not to be had, or nothing is left to wait for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from psycopg.conninfo import make_conninfo

from tests.client.waiting_kit import KILL, Waits, ended, listens, registered, seldom
from tests.servers import PGBOUNCER, PgBouncer, Relay
from tributary_daemon import app, events
from tributary_daemon import config as configuration
from tributary_daemon.client import awaited
from tributary_daemon.errors import DatabaseError, NotFound
from tributary_daemon.store import notify


def test_nothing_is_missed_while_the_listen_connection_is_gone(client, hand, eventually, slow_polls):
    hand.offer("test.a.v1")
    receipts = [client.submit("test.a.v1") for _ in range(2)]
    waits = Waits(client, [receipt.id for receipt in receipts])
    eventually(lambda: registered(hand) == (1, 2), what="they are registered")
    eventually(lambda: seldom(client), what="only the backstop is left")
    assert hand.sql(KILL, ("trib client listen",)) == [(1,)]
    # between two listen connections, or already on the next one: either way it comes to know
    hand.finish(hand.claim(), "completed")
    assert waits.futures[0].result(60).state == "completed"
    eventually(lambda: listens(hand) == 1, 20, what="it listens again")
    eventually(lambda: seldom(client), what="only the backstop is left")
    hand.finish(hand.claim(), "completed")
    assert waits.states() == ["completed", "completed"]


def test_both_connections_may_be_cut_while_it_waits(client, hand, eventually):
    hand.offer("test.a.v1")
    waits = Waits(client, [client.submit("test.a.v1").id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    for name in ("trib client", "trib client listen"):
        hand.sql(KILL, (name,))
    ended(hand)
    assert waits.states() == ["completed"]


def test_who_was_swept_is_registered_again(client, hand, eventually, monkeypatch):
    monkeypatch.setattr(awaited, "RENEWAL", 0.1)
    waits = Waits(client, [client.submit("test.a.v1").id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    hand.sql("delete from tributary.awaited")
    hand.sql("delete from tributary.waiters")
    eventually(lambda: registered(hand) == (1, 1), what="it is registered again")
    hand.offer("test.a.v1")
    ended(hand)
    assert waits.states() == ["completed"]


def test_a_connection_that_has_gone_deaf_is_replaced(database, hand, eventually, emitted, monkeypatch):
    """Nothing passes on it although both ends believe in it; the client asks whether anything still comes."""
    monkeypatch.setattr(awaited, "RENEWAL", 0.1)
    quick = {**notify.Listener.__init__.__kwdefaults__, "quiet": 0.2, "patience": 0.3}
    monkeypatch.setattr(notify.Listener.__init__, "__kwdefaults__", quick)
    relay = Relay(database)
    try:
        config = configuration.load({"listen_url": relay.url})
        with app.Client(database, config=config) as client:
            waits = Waits(client, [client.submit("test.a.v1").id])
            eventually(lambda: registered(hand) == (1, 1), what="it is registered")
            relay.swallow()
            eventually(
                lambda: [event for event in emitted if isinstance(event, events.ListenSilent)],
                30,
                what="it notices",
            )
            hand.offer("test.a.v1")
            ended(hand)
            assert waits.states() == ["completed"]
    finally:
        relay.close()


def test_without_listen_it_polls_and_says_so_once(database, hand, eventually, emitted):
    nowhere = make_conninfo(database, host="127.0.0.1", port=1)
    config = configuration.load({"listen_url": nowhere})
    with app.Client(database, config=config) as client:
        hand.offer("test.a.v1")
        waits = Waits(client, [client.submit("test.a.v1").id for _ in range(20)])
        eventually(lambda: emitted, what="it says so")
        eventually(lambda: tries(client) >= 4, 20, what="it tries again")
        ended(hand)
        assert waits.states() == ["completed"] * 20
    assert [type(event) for event in emitted] == [events.ListenFailed]
    assert "127.0.0.1:1" in emitted[0].error
    assert registered(hand) == (0, 0)


def tries(client):
    return client._waiter._service._ear._listener._wait / 0.5


def test_through_a_pooler_it_polls(database, hand, emitted, eventually):
    if PGBOUNCER is None:
        if os.environ.get("CI"):
            pytest.fail("no pgbouncer for the tests: apt-get install pgbouncer")
        pytest.skip("no pgbouncer for the tests: apt-get install pgbouncer")
    bouncer = PgBouncer(database)
    bouncer.start()
    try:
        hand.offer("test.a.v1")
        with app.Client(bouncer.url) as client:
            waits = Waits(client, [client.submit("test.a.v1").id for _ in range(5)])
            eventually(lambda: emitted, 20, what="it says so")
            ended(hand)
            assert waits.states() == ["completed"] * 5
            assert registered(hand) == (0, 0)
        # with a way past the pooler it is told
        config = configuration.load({"listen_url": database})
        with app.Client(bouncer.url, config=config) as client:
            waits = Waits(client, [client.submit("test.a.v1").id])
            eventually(lambda: registered(hand) == (1, 1), 20, what="it is registered")
            ended(hand)
            assert waits.states() == ["completed"]
    finally:
        bouncer.close()
    assert [type(event) for event in emitted] == [events.ListenPooled]


def test_a_session_that_may_only_read_polls_and_says_so_once(database, hand, emitted, eventually):
    hand.offer("test.a.v1")
    with app.Client(database) as client:
        ids = [client.submit("test.a.v1").id for _ in range(3)]
    url = make_conninfo(database, options="-c default_transaction_read_only=on", target_session_attrs="any")
    with app.Client(url) as client:
        waits = Waits(client, ids)
        eventually(lambda: emitted, 20, what="it says so")
        ended(hand)
        assert waits.states() == ["completed"] * 3
    assert [type(event) for event in emitted] == [events.ListenFailed]
    assert registered(hand) == (0, 0)


def test_what_looking_fails_with_is_raised_where_it_is_waited(client, hand, eventually):
    waits = Waits(client, [client.submit("test.a.v1").id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    hand.sql(
        "create or replace function tributary.find_ended(p_ids uuid[]) returns setof uuid language plpgsql"
        " as $$ begin raise 'out of order'; end $$"
    )
    with pytest.raises(DatabaseError, match="out of order"):
        waits.states()


def test_work_that_is_pruned_while_it_is_waited_for_is_not_found(client, hand, eventually):
    receipt = client.submit("test.a.v1")
    waits = Waits(client, [receipt.id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    hand.sql("delete from tributary.steps")
    with pytest.raises(NotFound):
        waits.states()


def test_a_client_that_was_killed_leaves_rows_that_are_swept(database, hand, trib_env, eventually):
    code = "import sys; from tributary_daemon import Client; Client().wait(sys.argv[1])"
    with app.Client(database) as client:
        work_id = client.submit("test.a.v1").id
    child = subprocess.Popen([sys.executable, "-c", code, work_id], env=trib_env)
    try:
        eventually(lambda: registered(hand) == (1, 1), 30, what="it is registered")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    eventually(lambda: listens(hand) == 0, what="the server has noticed")
    hand.sql("select tributary.tidy_fleet('1 hour')")
    assert registered(hand) == (1, 1)
    hand.sql("update tributary.waiters set expires_at = clock_timestamp() - interval '1 second'")
    hand.sql("select tributary.tidy_fleet('1 hour')")
    assert registered(hand) == (0, 0)
