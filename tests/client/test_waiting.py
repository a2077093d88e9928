"""Waiting for ends over one connection, by notification."""

from __future__ import annotations

import asyncio
import math
import statistics
import threading
import time
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.client.waiting_kit import KILL, LISTENS, ROWS, Waits, ended, listens, registered, seldom, until
from tests.membership import logins
from tributary_daemon import app
from tributary_daemon import config as configuration
from tributary_daemon.client import awaited
from tributary_daemon.errors import DatabaseError, NotFound, WaitTimeout

MANY = 2_000


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


def test_many_are_waited_for_with_one_limit(client, hand, database):
    hand.offer("test.a.v1")
    receipts = [client.submit("test.a.v1") for _ in range(3)]
    hand.finish(hand.claim(), "completed", result=1)
    with pytest.raises(WaitTimeout, match=f"{receipts[1].id}, number 2 of 3, has not ended after 50ms"):
        client.wait_all(receipts, "50ms")
    hand.finish(hand.claim(), "completed", result=2)
    client.cancel(receipts[2].id)
    assert [found.state for found in client.wait_all(receipts, 20)] == ["completed", "completed", "cancelled"]

    async def main():
        async with app.AsyncClient(database) as other:
            with pytest.raises(NotFound):
                await other.wait_all([receipts[0].id, "01234567-89ab-7def-8123-456789abcdef"], "20s")
            open_one = await other.submit("test.a.v1")
            with pytest.raises(WaitTimeout, match="number 1 of 1"):
                await other.wait_all([open_one], 0.05)
            return await other.wait_all(receipt.id for receipt in reversed(receipts))

    assert [found.result for found in asyncio.run(main())] == [None, 2, 1]


def test_who_has_ended_is_not_waited_for(client, hand):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    ended(hand)
    assert receipt.wait(5).state == "completed"
    assert client._waiter._service is None
    assert registered(hand) == (0, 0)


def test_close_removes_what_was_registered_and_leaves_waits_alone(client, hand, eventually):
    before = set(threading.enumerate())

    def threads():
        found = set(threading.enumerate()) - before
        return {thread for thread in found if thread.name in {"trib ear", "trib waits"}}

    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    waits = Waits(client, [receipt.id])
    eventually(lambda: registered(hand) == (1, 1), what="it is registered")
    first = threads()
    assert {thread.name for thread in first} == {"trib ear", "trib waits"}
    client.close()
    assert not any(thread.is_alive() for thread in first)
    # who still waits opens the client again, as every call does
    eventually(lambda: registered(hand) == (1, 1), what="it is registered again")
    ended(hand)
    assert waits.states() == ["completed"]
    second = threads()
    client.close()
    assert registered(hand) == (0, 0)
    assert not any(thread.is_alive() for thread in second)


def test_it_stops_listening_when_nobody_has_waited_for_a_while(client, hand, eventually, monkeypatch):
    monkeypatch.setattr(awaited, "LINGER", 0.2)
    receipt = client.submit("test.a.v1")
    with pytest.raises(WaitTimeout):
        receipt.wait("200ms")
    eventually(lambda: registered(hand) == (0, 0) and listens(hand) == 0, what="nothing is left")
    with pytest.raises(WaitTimeout):
        receipt.wait("50ms")


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


def test_whoever_may_read_is_told(server, template, eventually, slow_polls):
    with logins(server, template) as urls, psycopg.connect(urls["owner"], autocommit=True) as owner:
        work_id = owner.execute("select tributary.submit_intent('test.a.v1')::text").fetchone()[0]
        with app.Client(urls["read"]) as client:
            waits = Waits(client, [work_id])
            eventually(lambda: owner.execute(ROWS).fetchone() == (1, 1), what="it is registered")
            eventually(lambda: seldom(client), what="only the backstop is left")
            owner.execute("select tributary.cancel(%s)", (work_id,))
            assert waits.states() == ["cancelled"]
        assert owner.execute(ROWS).fetchone() == (0, 0)
        with app.Client(urls["submit"]) as client, pytest.raises(DatabaseError, match="no permission"):
            client.wait(work_id)


def test_the_command_that_waits_leaves_nothing(trib, worker, hand, eventually):
    worker("--processes", "1")
    done = trib("submit", "trib.sleep.v1", "-i", "seconds=0.5", "--wait")
    assert done.returncode == 0, done.stderr
    assert registered(hand) == (0, 0)
    eventually(lambda: listens(hand) == 0, what="the server has noticed that it left")


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
