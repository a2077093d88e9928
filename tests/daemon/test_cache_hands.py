"""Those who speak to the store: nobody waits for longer than a moment, and nobody is told twice."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tributary_daemon import events
from tributary_daemon.daemon import cache_hands, caching
from tributary_daemon.daemon.cache_events import CacheAvailable, CacheUnavailable
from tributary_daemon.daemon.cache_hands import CacheHands, Call
from tributary_daemon.daemon.caching import Caching
from tributary_daemon.store.cache.entries import Busy, Hit, Mine


class Desk:
    """A desk that does as the test says."""

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
def desks():
    """Every desk that was opened."""
    return []


@pytest.fixture
def hands(desks):
    """Hands with such desks."""

    def open_desk():
        desks.append(Desk())
        return desks[-1]

    made = CacheHands("a store", open_desk, 20.0)
    yield made
    made.close()


def fail(desk):
    raise OSError("no route")


def test_answers_come_back_and_desks_are_used_again(hands, desks):
    assert [hands.ask(Call(lambda _, n=n: n)) for n in range(20)] == list(range(20))
    assert len(desks) == 1


def test_a_failure_is_told_once_and_spares_those_who_come_next(hands, desks, told, monkeypatch):
    assert hands.ask(Call(fail)) is None
    assert desks[0].closed
    assert not hands.put(Call(fail))
    (first,) = told
    assert (type(first), first.store, first.error) == (CacheUnavailable, "a store", "OSError: no route")
    monkeypatch.setattr(hands, "_again_at", 0.0)
    assert hands.ask(Call(fail)) is None
    assert len(told) == 1
    monkeypatch.setattr(hands, "_again_at", 0.0)
    # one tries, the others go without meanwhile
    gate = threading.Event()
    assert hands.put(trial := Call(lambda _: gate.wait(5)))
    assert not hands.put(Call(lambda _: 1))
    gate.set()
    assert trial.done.acquire(timeout=5)
    assert hands.ask(Call(lambda _: 2)) == 2
    assert [type(event) for event in told] == [CacheUnavailable, CacheAvailable]
    assert len(desks) == 3


def test_a_desk_that_nobody_uses_is_closed_and_opened_again(hands, desks, monkeypatch, eventually):
    monkeypatch.setattr(cache_hands, "_IDLE", 0.01)
    assert hands.ask(Call(lambda _: 1)) == 1
    eventually(lambda: desks[0].closed, 5, "closed")
    assert hands.ask(Call(lambda _: 2)) == 2
    assert len(desks) == 2


def test_a_late_answer_is_taken_back(hands, told, monkeypatch, eventually):
    monkeypatch.setattr(hands, "_patience", 0.01)
    gate, undone = threading.Event(), []
    assert hands.ask(Call(lambda _: gate.wait(5) and "mine", lambda _, answer: undone.append(answer))) is None
    assert [event.error for event in told] == ["no answer within 0.01 s"]
    gate.set()
    eventually(lambda: undone == ["mine"], 5, "taken back")


def test_a_loop_does_not_wait_for_the_store(hands):
    made = Caching.__new__(Caching)
    made._hands, made._patience = hands, 20.0
    gate = threading.Event()

    async def both():
        asking = asyncio.create_task(made._aask(Call(lambda _: gate.wait(5) and 7)))
        await asyncio.sleep(0)
        gate.set()
        return await asking

    assert asyncio.run(both()) == 7


@pytest.mark.parametrize(("age", "delay"), [(0.0, 0.1), (4.0, 1.0), (600.0, 5.0)])
def test_who_waits_looks_again_the_later_the_longer_it_takes(age, delay):
    assert caching._answered(None, Busy(None, age)).delay == delay


def test_answers_become_outcomes():
    class Lease:
        makes = False

    assert caching._answered(Lease, Hit("1")).result == "1"
    assert caching._answered(Lease, None) is None
    assert not Lease.makes
    assert caching._answered(Lease, Mine()) is None
    assert Lease.makes
