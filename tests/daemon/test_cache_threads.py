"""Those who speak to the store: nobody waits for longer than a moment, and nobody is told twice."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tributary_daemon import events
from tributary_daemon.daemon import cache_threads, caching
from tributary_daemon.daemon.cache_events import CacheAvailable, CacheUnavailable
from tributary_daemon.daemon.cache_threads import CacheThreads, Call
from tributary_daemon.daemon.caching import Caching
from tributary_daemon.store.cache.entries import Busy, Hit, Mine


class Lookup:
    """A lookup that does as the test says."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def told():
    """What is told meanwhile."""
    found = []
    detach = events.attach(found.append)
    yield found
    detach()


@pytest.fixture
def lookups():
    """Every lookup that was opened."""
    return []


@pytest.fixture
def threads(lookups):
    """Threads with such lookups."""

    def open_lookup():
        lookups.append(Lookup())
        return lookups[-1]

    made = CacheThreads("a store", open_lookup, 20.0)
    yield made
    made.close()


def fail(lookup):
    raise OSError("no route")


def test_answers_come_back_and_lookups_are_used_again(threads, lookups):
    assert [threads.ask(Call(lambda _, n=n: n)) for n in range(20)] == list(range(20))
    assert len(lookups) == 1


def test_a_failure_is_told_once_and_spares_those_who_come_next(threads, lookups, told, monkeypatch):
    assert threads.ask(Call(fail)) is None
    assert lookups[0].closed
    assert not threads.put(Call(fail))
    (first,) = told
    assert (type(first), first.store, first.error) == (CacheUnavailable, "a store", "OSError: no route")
    monkeypatch.setattr(threads, "_again_at", 0.0)
    assert threads.ask(Call(fail)) is None
    assert len(told) == 1
    monkeypatch.setattr(threads, "_again_at", 0.0)
    # one tries, the others go without meanwhile
    gate = threading.Event()
    assert threads.put(trial := Call(lambda _: gate.wait(5)))
    assert not threads.put(Call(lambda _: 1))
    gate.set()
    assert trial.done.acquire(timeout=5)
    assert threads.ask(Call(lambda _: 2)) == 2
    assert [type(event) for event in told] == [CacheUnavailable, CacheAvailable]
    assert len(lookups) == 3


def test_a_desk_that_nobody_uses_is_closed_and_opened_again(threads, lookups, monkeypatch, eventually):
    monkeypatch.setattr(cache_threads, "_IDLE", 0.01)
    assert threads.ask(Call(lambda _: 1)) == 1
    eventually(lambda: lookups[0].closed, 5, "closed")
    assert threads.ask(Call(lambda _: 2)) == 2
    assert len(lookups) == 2


def test_a_late_answer_is_taken_back(threads, told, monkeypatch, eventually):
    monkeypatch.setattr(threads, "_patience", 0.01)
    gate, undone = threading.Event(), []
    assert (
        threads.ask(Call(lambda _: gate.wait(5) and "mine", lambda _, answer: undone.append(answer))) is None
    )
    assert [event.error for event in told] == ["no answer within 0.01 s"]
    gate.set()
    eventually(lambda: undone == ["mine"], 5, "taken back")


def test_a_loop_does_not_wait_for_the_store(threads):
    made = Caching.__new__(Caching)
    made._threads, made._patience = threads, 20.0
    gate = threading.Event()

    async def both():
        asking = asyncio.create_task(made._aask(Call(lambda _: gate.wait(5) and 7)))
        await asyncio.sleep(0)
        gate.set()
        return await asking

    assert asyncio.run(both()) == 7


@pytest.mark.parametrize(("age", "delay"), [(0.0, 0.1), (4.0, 1.0), (600.0, 5.0)])
def test_who_waits_looks_again_the_later_the_longer_it_takes(age, delay):
    class Lease:
        looked = None

    assert caching._answered(Lease, Busy(None, age)).delay == delay
    assert Lease.looked == "wait"


def test_answers_become_outcomes():
    class Lease:
        makes = False

    assert caching._answered(Lease, Hit("1")).result == "1"
    assert Lease.looked == "hit"
    assert caching._answered(Lease, None) is None
    assert (Lease.looked, Lease.makes) == ("error", False)
    assert caching._answered(Lease, Mine()) is None
    assert (Lease.looked, Lease.makes) == ("miss", True)
