"""A submit is one round trip and one transaction, and wakes after its commit, so that no wake-up is lost."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.store import db
from tributary_daemon.store.watched import AsyncWatched, Watched

NAME = "test.a.v1"
WORKER = "select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', '{}', 1, '[]')"
# held until whoever has lock 7 lets go of it: after all that the function did, before the commit
HOLD = """
    create function public.hold() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(7); return null; end';
    create constraint trigger held after insert on tributary.steps deferrable initially deferred
        for each row execute function public.hold()
"""
WAITING = """
    select count(*) from pg_locks
    where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())
"""


@pytest.fixture
def trips(monkeypatch):
    """Count the waits for the server on the connections of clients."""
    counted = []

    def wait(self, gen, *args, **kwargs):
        counted.append("sync")
        return before(self, gen, *args, **kwargs)

    async def await_(self, gen, *args, **kwargs):
        counted.append("async")
        return await abefore(self, gen, *args, **kwargs)

    before, abefore = Watched.wait, AsyncWatched.wait
    monkeypatch.setattr(Watched, "wait", wait)
    monkeypatch.setattr(AsyncWatched, "wait", await_)
    return counted


@pytest.fixture
def listener(database, connection):
    """Hear wake-ups, as a worker that is registered and waits."""
    connection.execute(WORKER)
    with psycopg.connect(database, autocommit=True) as own:
        own.execute("listen tributary_wake")
        yield own


def heard(listener, timeout=0.2, most=None):
    return [notify.payload for notify in listener.notifies(timeout=timeout, stop_after=most)]


@pytest.mark.parametrize("offered", [True, False])
def test_a_submit_by_name_is_one_round_trip(client, hand, trips, offered):
    if offered:
        hand.offer(NAME)
    client.submit(NAME)
    trips.clear()
    for number in range(5):  # some of them prepared
        receipt = client.submit(NAME, {"n": number}, queue="q", idempotency_key=f"k{number}")
        assert (receipt.created, bool(receipt.warnings)) == (True, not offered)
    assert trips == ["sync"] * 5


def test_an_async_submit_is_one_round_trip(database, hand, trips):
    hand.offer(NAME)

    async def main():
        async with app.AsyncClient(database) as client:
            await client.submit(NAME)
            trips.clear()
            for number in range(5):
                await client.submit(NAME, {"n": number})
            assert trips == ["async"] * 5

    asyncio.run(main())


def test_a_registered_workflow_by_its_name_takes_two(client, hand, trips):
    hand.offer(NAME)
    client.register(Workflow("test.flow.v1").add("one", NAME))
    trips.clear()
    assert client.submit("test.flow.v1").kind == "run"
    assert len(trips) == 2


def test_a_name_that_nobody_offered_is_answered_with_the_nearest(client, hand):
    hand.offer("test.alpha.v1")
    client.register(Workflow("test.omega.v1").add("one", NAME))
    assert "did you mean 'test.alpha.v1'?" in client.submit("test.alpah.v1").warnings[0]
    assert "did you mean 'test.omega.v1'?" in client.submit("test.omgea.v1").warnings[0]


def test_a_single_submit_wakes(client, hand, listener):
    hand.offer(NAME)
    client.submit(NAME)
    assert heard(listener, 5, 1) == ["default"]
    client.submit(NAME, run_after="1h")
    client.submit("test.nobody.v1")
    assert heard(listener) == []


def test_nobody_is_woken_who_does_not_wait(client, hand, listener, connection):
    hand.offer(NAME)
    connection.execute("update tributary.workers set wants_wake = false")
    client.submit(NAME)
    assert heard(listener) == []


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_a_submit_wakes_where_transactions_have_another_default(
    database, hand, listener, connection, isolation
):
    hand.offer(NAME)
    name = connection.info.dbname
    connection.execute(f"alter database \"{name}\" set default_transaction_isolation = '{isolation}'")
    with app.Client(database) as client:
        client.submit(NAME)
    assert heard(listener, 5, 1) == ["default"]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_callers_connection_commits_when_the_caller_does(database, client, hand, listener, autocommit):
    hand.offer(NAME)
    with psycopg.connect(database, autocommit=autocommit) as own:
        client.submit(NAME, connection=own)
        assert heard(listener, 5 if autocommit else 0.2, 1) == ["default"] * autocommit
        own.commit()
        assert heard(listener, 0.2 if autocommit else 5, 1) == ["default"] * (not autocommit)


@pytest.mark.parametrize("target", [NAME, Workflow("test.flow.v1").add("one", NAME), "test.kept.v1"])
def test_who_begins_to_wait_while_a_submit_commits_is_woken(
    database, hand, listener, connection, eventually, target
):
    """The submit saw nobody who waits, the worker's last look did not see the submit."""
    hand.offer(NAME)
    connection.execute("update tributary.workers set wants_wake = false")
    connection.execute(HOLD)
    # the gate opens before the client is closed, whatever fails
    with app.Client(database) as client, psycopg.connect(database) as gate:
        client.register(Workflow("test.kept.v1").add("one", NAME))
        gate.execute("select pg_advisory_xact_lock(7)")
        thread = threading.Thread(target=client.submit, args=(target,))
        thread.start()
        eventually(
            lambda: connection.execute(WAITING).fetchone() == (1,), what="the submit stands at its commit"
        )
        connection.execute("update tributary.workers set wants_wake = true")
        assert connection.execute("select count(*) from tributary.steps").fetchone() == (0,)
        gate.rollback()
        assert heard(listener, 5, 1) == ["default"]
        thread.join()
    assert connection.execute("select count(*) from tributary.steps").fetchone() == (1,)


def test_a_refused_submit_leaves_nothing_kept_for_the_next(database, hand, listener):
    hand.offer(NAME)
    with db.connect(database, application_name="test") as own:
        call = "call tributary.submit_alone(%s, true, '{}', null, '{}', null, null, null, '', null,"
        call += " null, null, null, null, null, null, null, null, null)"
        with pytest.raises(psycopg.errors.DatabaseError):
            own.execute(call, [""])
        own.execute("select tributary.submit_intent(%s)", [NAME])
        assert heard(listener, 5, 1) == ["default"]
        own.execute(call, [NAME])
        assert heard(listener, 5, 1) == ["default"]
