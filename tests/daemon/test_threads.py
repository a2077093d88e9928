"""Exceptions raised into handler threads reach the handler they are meant for, and no other."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from tributary_daemon.daemon.board import Board
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.threads import HandlerThreads, interrupt, shield
from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Released


def lease(n=0):
    return Held(f"0199aaaa-0000-7000-8000-{n:012d}", 0, n, "intent", "t.x.v1", None, "default", 1, 3, 0, "{}")


@pytest.fixture
def serve():
    """Return a function that starts threads and returns (threads, reports)."""
    started = []

    def start(count, run):
        reports = []
        threads = HandlerThreads(
            count, run, lambda held, outcome: reports.append((held, outcome)), Board(count)
        )
        threads.start()
        started.append(threads)
        return threads, reports

    yield start
    for threads in started:
        threads.stop()


def test_every_lease_is_reported_once_in_its_order(serve, eventually):
    threads, reports = serve(1, lambda _held: Completed("1"))
    leases = [lease(n) for n in range(100)]
    threads.put(leases)
    eventually(lambda: len(reports) == 100)
    assert [held for held, _ in reports] == leases


def test_what_was_dropped_or_recalled_does_not_start(serve, eventually):
    ran = []
    threads, reports = serve(1, lambda held: ran.append(held) or Completed("1"))
    dropped, recalled = lease(1), lease(2)
    dropped.dropped = recalled.recalled = True
    threads.put([dropped, recalled])
    eventually(lambda: len(reports) == 2)
    assert not ran
    assert [outcome for _, outcome in reports] == [None, None]


@pytest.mark.parametrize(("error", "kind"), [(HandlerTimeout, Failed), (StepCancelled, Released)])
def test_an_interrupt_ends_what_runs_and_spares_what_comes_next(serve, eventually, error, kind):
    gate = threading.Event()

    def run(held):
        if held.seq == 0:
            gate.set()
            while True:
                pass
        return Completed("1")

    threads, reports = serve(1, run)
    first, rest = lease(0), [lease(n) for n in range(1, 50)]
    threads.put([first, *rest])
    assert gate.wait(5)
    eventually(lambda: interrupt(first, error), 5)
    eventually(lambda: len(reports) == 50)
    assert isinstance(reports[0][1], kind)
    assert {outcome for _, outcome in reports[1:]} == {Completed("1")}


@pytest.fixture
def bare_collector():
    """Keep Hypothesis's callback out of collections: an exception that arrives in there is swallowed."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks.extend(callbacks)


@pytest.mark.usefixtures("bare_collector")
def test_interrupts_around_the_end_of_attempts_never_hit_a_neighbour(serve, eventually):
    """Aim at attempts that last microseconds: whatever is hit is the one aimed at, and each reports once."""
    aimed_at = set()
    threads, reports = serve(2, lambda _held: Completed("1"))
    leases = [lease(n) for n in range(4000)]
    threads.put(leases)
    for held in leases:
        spins = 0
        while held.thread_id is None and held.started_at is None and spins < 50:
            time.sleep(0)
            spins += 1
        if held.seq % 2 and interrupt(held, HandlerTimeout):
            aimed_at.add(held)
    eventually(lambda: len(reports) == 4000)
    assert len({held for held, _ in reports}) == 4000
    hit = {held for held, outcome in reports if not isinstance(outcome, Completed)}
    assert hit <= aimed_at


def test_a_fault_of_ours_fails_the_attempt_and_keeps_the_thread(serve, eventually):
    def run(held):
        if held.seq == 1:
            raise OSError("not the handler's fault")
        return Completed("1")

    threads, reports = serve(1, run)
    threads.put([lease(1), lease(2)])
    eventually(lambda: len(reports) == 2)
    assert isinstance(reports[0][1], (Failed, Discarded))
    assert reports[0][1].error.reason == "internal"
    assert reports[1][1] == Completed("1")


def test_nothing_reaches_a_thread_behind_its_shield():
    held = lease()
    held.thread_id = threading.get_ident()
    shield(held)
    assert interrupt(held, HandlerTimeout) is False


def test_what_is_queued_is_taken_back(serve, eventually):
    gate, began = threading.Event(), threading.Event()

    def run(_held):
        began.set()
        gate.wait(5)
        return Completed("1")

    threads, reports = serve(1, run)
    leases = [lease(n) for n in range(5)]
    threads.put(leases)
    assert began.wait(5)
    assert threads.take_back() == leases[1:]
    gate.set()
    eventually(lambda: len(reports) == 1)
