"""How many attempts hold a connection of their own: counted, waited for, given back whatever happens."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tributary_daemon.daemon import budget
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.slots import ConnectionSlots
from tributary_daemon.daemon.threads import interrupt, shield
from tributary_daemon.errors import HandlerTimeout

PEAK = (
    "select count(*) from pg_stat_activity"
    # one that was closed may take a moment to end, but has no transaction any more
    " where datname = current_database() and application_name = 'trib step' and xact_start is not null"
)


def lease(number=1):
    return Held("r", number, 9, "step", "n.x.v1", "a", "q", 1, 3, 0, "{}")


def test_the_formula_of_the_documents():
    assert budget.of_worker(2, 10) == (8, 28)
    assert budget.of_worker(1, 1) == (5, 6)


def test_a_holder_is_not_counted_twice_and_a_stranger_gives_nothing_back():
    slots = ConnectionSlots(1)
    first, second = lease(1), lease(2)
    assert slots.grant(first)
    assert slots.grant(first)
    assert not slots.grant(second)
    slots.free(second)
    assert len(slots) == 1
    slots.free(first)
    slots.free(first)
    assert slots.grant(second)


def test_whoever_waits_gets_the_slot_that_is_given_back():
    slots = ConnectionSlots(1)
    first, second = lease(1), lease(2)
    slots.take(first)
    waiter = threading.Thread(target=slots.take, args=(second,))
    waiter.start()
    slots.free(first)
    waiter.join(5)
    assert second in slots

    async def wait():
        task = asyncio.create_task(slots.atake(first))
        await asyncio.sleep(0)
        assert first not in slots
        slots.free(second)
        await asyncio.wait_for(task, 5)

    asyncio.run(wait())
    assert first in slots


def test_a_timeout_reaches_whoever_waits_and_leaves_no_slot_behind():
    slots = ConnectionSlots(1)
    first, second = lease(1), lease(2)
    slots.take(first)
    caught = []

    def run():
        second.thread_id = threading.get_ident()
        try:
            slots.take(second)
        except HandlerTimeout as error:
            caught.append(error)
        finally:
            shield(second)

    waiter = threading.Thread(target=run)
    waiter.start()
    while second.thread_id is None:
        pass
    assert interrupt(second, HandlerTimeout)
    waiter.join(5)
    assert len(caught) == 1
    assert second not in slots


def test_a_cancelled_wait_ends():
    slots = ConnectionSlots(1)
    slots.take(lease(1))

    async def wait():
        task = asyncio.create_task(slots.atake(lease(2)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(wait())
    assert len(slots) == 1


def test_threads_loop_and_isolated_attempts_share_the_bound(desk, crew):
    crew("--concurrency", "6", env={"TRIB_STEP_CONNECTIONS": "2"})
    with desk.sql.transaction():
        ids = [
            desk.submit(name, {"gate": "gate"})
            for name in ("t.effect.v1", "t.aeffect.v1", "t.ieffect.v1") * 4
        ]
    # as many as may have got theirs; the rest waits without failing
    desk.noted("inserted", count=2)
    desk.wait(lambda: len(desk.notes("asks")) >= 1, 20, "an isolated one has come up")
    assert len(desk.notes("inserted")) == 2
    peak = desk.one(PEAK)[0]
    desk.open()
    while any(desk.state(run) != "completed" for run in ids):
        peak = max(peak, desk.one(PEAK)[0])
        if all(desk.state(run) in ("completed", "discarded") for run in ids):
            break
    assert [desk.row(run)[:2] for run in ids] == [("completed", 1)] * 12
    assert desk.one("select count(*), count(distinct id) from effects") == (12, 12)
    assert peak == 2


def test_an_isolated_attempt_reads_its_surroundings_without_a_connection(desk, crew):
    crew()
    run = desk.submit("t.iread.v1", {"gate": "gate"})
    desk.noted("began", run)
    names = {
        row[0]
        for row in desk.sql.execute(
            "select application_name from pg_stat_activity where datname = current_database()"
        )
    }
    desk.open()
    desk.until(run, "completed")
    # one reader of the process that holds the lease, nobody else's
    assert {name for name in names if name.startswith("trib step")} == {"trib step reader"}
    assert desk.one(PEAK) == (0,)
