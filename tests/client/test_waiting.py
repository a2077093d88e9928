"""Waiting for ends over one connection, by notification where that is possible, by polls where it is not."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from psycopg.conninfo import make_conninfo

from tests.servers import PGBOUNCER, PgBouncer, Relay
from tributary_daemon import app, events
from tributary_daemon import config as configuration
from tributary_daemon.client import awaited
from tributary_daemon.errors import DatabaseError, NotFound, WaitTimeout
from tributary_daemon.store import notify

MANY = 2_000
LISTENS = "select count(*) from pg_stat_activity where datname = current_database() and application_name = %s"
ROWS = "select (select count(*) from tributary.waiters), (select count(*) from tributary.awaited)"
KILL = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
    " where datname = current_database() and application_name = %s"
)


@pytest.fixture
def emitted():
    found = []
    detach = events.attach(found.append)
    yield found
    detach()


@pytest.fixture
def slow_polls(monkeypatch):
    """Whoever ends soon was told: polls would come in a minute at the earliest."""
    for name in ("FIRST_POLL", "SLOWEST_POLL", "BACKSTOP"):
        monkeypatch.setattr(awaited, name, 60.0)


async def until(probe):
    """Wait for a condition, and let the loop go on."""
    async with asyncio.timeout(60):
        while not probe():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def listens(hand):
    return hand.sql(LISTENS, ("trib client listen",))[0][0]


def registered(hand):
    return hand.sql(ROWS)[0]


class Waits:
    """Waits in threads of their own."""

    def __init__(self, client, ids, **options):
        self._pool = ThreadPoolExecutor(len(ids))
        self.futures = [self._pool.submit(client.wait, work_id, 60, **options) for work_id in ids]

    def states(self):
        found = [future.result(60).state for future in self.futures]
        self._pool.shutdown()
        return found


def ended(hand, outcome="completed"):
    while (row := hand.claim()) is not None:
        hand.finish(row, outcome)


def test_a_wait_is_told_of_the_end(client, hand, eventually, slow_polls):
    hand.offer("test.a.v1")
    receipts = [client.submit("test.a.v1") for _ in range(3)]
    waits = Waits(client, [receipt.id for receipt in receipts])
    eventually(lambda: registered(hand) == (1, 3), what="they are registered")
    # later than the looks that follow a registration
    eventually(lambda: seldom(client), what="only the backstop is left")
    hand.finish(hand.claim(), "completed")
    hand.finish(hand.claim(), "discarded", error={"type": "E", "message": "no"})
    client.cancel(receipts[2].id)
    assert waits.states() == ["completed", "discarded", "cancelled"]
    assert listens(hand) == 1


def seldom(client):
    """Return whether nothing is looked for in the next second."""
    service = client._waiter._service
    with service._news:
        return 1 < service._book.pause(time.monotonic()) < math.inf


def test_ends_of_a_real_worker_are_told(client, worker, slow_polls):
    worker("--processes", "1")
    late, whole = [], []
    for number in range(50):
        began = time.perf_counter()
        document = client.submit("trib.noop.v1", {"n": number}).wait(60)
        assert document.state == "completed"
        whole.append(time.perf_counter() - began)
        late.append((datetime.now(UTC) - document.finished_at).total_seconds())
    for what, times in (("end", late), ("submit", whole)):
        print(f"p50 from the {what}: {statistics.median(times) * 1e3:.1f} ms")


def test_thousands_wait_on_one_connection(database, hand, eventually):
    hand.offer("test.a.v1")

    async def main():
        async with app.AsyncClient(database) as client:
            ids = await client.submit_many("test.a.v1", [{"n": number} for number in range(MANY)])
            waits = [asyncio.create_task(client.wait(work_id, 120)) for work_id in ids]
            await until(lambda: registered(hand) == (1, MANY))
            assert listens(hand) == 1
            assert hand.sql(LISTENS, ("trib client",))[0][0] == 1
            hand.sql("select tributary.cancel(run_id) from tributary.steps")
            documents = await asyncio.gather(*waits)
            assert {document.state for document in documents} == {"cancelled"}
            await until(lambda: registered(hand) == (1, 0))

    asyncio.run(main())
    assert registered(hand) == (0, 0)
    eventually(lambda: listens(hand) == 0, what="nobody listens")


def test_who_has_ended_is_not_waited_for(client, hand):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    ended(hand)
    assert receipt.wait(5).state == "completed"
    assert client._waiter._service is None
    assert registered(hand) == (0, 0)


def test_close_removes_what_was_registered_and_leaves_waits_alone(client, hand, eventually):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    waits = Waits(client, [receipt.id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    ears = [thread for thread in threading.enumerate() if thread.name == "trib ear"]
    client.close()
    assert not any(thread.is_alive() for thread in ears)
    # who still waits opens the client again, as every call does
    eventually(lambda: registered(hand) == (1, 1), what="it is registered again")
    ended(hand)
    assert waits.states() == ["completed"]
    client.close()
    assert registered(hand) == (0, 0)
    assert [
        thread.name for thread in threading.enumerate() if thread.name in {"trib ear", "trib waits"}
    ] == []


def test_it_stops_listening_when_nobody_has_waited_for_a_while(client, hand, eventually, monkeypatch):
    monkeypatch.setattr(awaited, "LINGER", 0.2)
    receipt = client.submit("test.a.v1")
    with pytest.raises(WaitTimeout):
        receipt.wait("200ms")
    eventually(lambda: registered(hand) == (0, 0) and listens(hand) == 0, what="nothing is left")
    with pytest.raises(WaitTimeout):
        receipt.wait("50ms")


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
        eventually(lambda: tries(client) >= 2, 20, what="it tries again")
        ended(hand)
        assert waits.states() == ["completed"] * 20
    assert [type(event) for event in emitted] == [events.ListenFailed]
    assert "127.0.0.1:1" in emitted[0].error
    assert registered(hand) == (0, 0)


def tries(client):
    return client._waiter._service._ear._listener._wait / 0.5


def test_polls_of_many_waits_are_one_statement(database, hand, eventually, monkeypatch):
    nowhere = make_conninfo(database, host="127.0.0.1", port=1)
    with app.Client(database, config=configuration.load({"listen_url": nowhere})) as client:
        hand.offer("test.a.v1")
        asked = []
        real = awaited.Book.looked

        def looked(book, taken, found, now):
            asked.append(len(taken.look))
            real(book, taken, found, now)

        monkeypatch.setattr(awaited.Book, "looked", looked)
        waits = Waits(client, [client.submit("test.a.v1").id for _ in range(50)])
        eventually(lambda: asked.count(50) >= 2, 20, what="all are looked for at once")
        ended(hand)
        assert waits.states() == ["completed"] * 50


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


def test_the_command_that_waits_leaves_nothing(trib, worker, hand):
    worker("--processes", "1")
    done = trib("submit", "trib.sleep.v1", "-i", "seconds=0.5", "--wait")
    assert done.returncode == 0, done.stderr
    assert registered(hand) == (0, 0)
    assert listens(hand) == 0


def test_a_notification_alone_ends_no_wait(client, hand, eventually):
    """Whoever may connect may notify: what is told is looked at."""
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    waits = Waits(client, [receipt.id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    hand.sql(
        "select pg_notify('tributary_ended_' || replace(waiter_id::text, '-', ''), run_id || ' nonsense')"
        " from tributary.awaited"
    )
    eventually(lambda: seldom(client), what="it waits on")
    assert not waits.futures[0].done()
    ended(hand)
    assert waits.states() == ["completed"]


def test_tasks_are_told_as_threads_are(database, hand, slow_polls):
    hand.offer("test.a.v1")

    async def main():
        async with app.AsyncClient(database) as client:
            receipts = [await client.submit("test.a.v1") for _ in range(3)]
            waits = [asyncio.create_task(receipt.wait(60)) for receipt in receipts]
            await until(lambda: registered(hand) == (1, 3))
            book = client._waiter._service._book
            await until(lambda: 1 < book.pause(time.monotonic()) < math.inf)
            hand.sql(KILL, ("trib client listen",))
            await asyncio.to_thread(ended, hand)
            found = {document.state for document in await asyncio.gather(*waits)}
            with pytest.raises(NotFound):
                await client.wait("01234567-89ab-7def-8123-456789abcdef")
            return found

    assert asyncio.run(main()) == {"completed"}
    assert registered(hand) == (0, 0)


def test_a_task_that_is_cancelled_waits_no_more(database, hand):
    async def main():
        async with app.AsyncClient(database) as client:
            receipt = await client.submit("test.a.v1")
            wait = asyncio.create_task(receipt.wait())
            await until(lambda: registered(hand) == (1, 1))
            wait.cancel()
            await until(lambda: registered(hand) == (1, 0))
            assert wait.cancelled()

    asyncio.run(main())
    assert registered(hand) == (0, 0)
