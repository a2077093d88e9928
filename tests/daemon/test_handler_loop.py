"""The event loop of a process: slots, cancels, recalls, its end."""

from __future__ import annotations

import asyncio

import pytest

from tributary_daemon.daemon.board import Board
from tributary_daemon.daemon.handler_loop import HandlerLoop
from tributary_daemon.daemon.held import Held
from tributary_daemon.model.outcome import Completed, Failed


def lease(n=0):
    return Held(f"0199aaaa-0000-7000-8000-{n:012d}", 0, n, "intent", "t.x.v1", None, "default", 1, 3, 0, "{}")


@pytest.fixture
def serve():
    """Return a function that starts a loop and returns (loop, reports)."""
    started = []

    def start(slots, run):
        reports = []
        loop = HandlerLoop(
            slots, run, lambda held, outcome: reports.append((held, outcome)), Board(slots), range(slots)
        )
        loop.start()
        started.append(loop)
        return loop, reports

    yield start
    for loop in started:
        loop.stop()
        loop._thread.join(10)
        assert not loop._thread.is_alive()
        assert loop._loop.is_closed()


def test_no_more_than_its_slots_run_at_once(serve, eventually):
    now, most = 0, 0

    async def run(_held):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= 1
        return Completed("1")

    loop, reports = serve(3, run)
    loop.put([lease(n) for n in range(50)])
    eventually(lambda: len(reports) == 50)
    assert most == 3


def test_one_that_waits_for_a_slot_is_cancelled_without_an_outcome(serve, eventually):
    began = []

    async def run(held):
        began.append(held)
        await asyncio.sleep(60)

    loop, reports = serve(1, run)
    first, second = lease(1), lease(2)
    loop.put([first, second])
    eventually(lambda: began)
    loop.cancel(second)
    eventually(lambda: reports)
    assert reports == [(second, None)]
    loop.cancel(first)
    eventually(lambda: len(reports) == 2)
    assert began == [first]


def test_either_started_or_taken_back_never_both(serve, eventually):
    ran = set()

    async def run(held):
        ran.add(held)
        await asyncio.sleep(0)
        return Completed("1")

    loop, reports = serve(2, run)
    for turn in range(50):
        leases = [lease(turn * 10 + n) for n in range(10)]
        loop.put(leases)
        taken = set(loop.take_back(leases))
        assert loop.take_back(leases) == [] or taken
        eventually(lambda turn=turn: len(reports) == (turn + 1) * 10)
        assert not taken & ran


def test_a_fault_of_ours_is_reported(serve, eventually):
    async def run(_held):
        raise OSError("not the handler's fault")

    loop, reports = serve(1, run)
    loop.put([lease()])
    eventually(lambda: reports)
    assert isinstance(reports[0][1], Failed)


def test_its_end_cancels_what_runs(serve, eventually):
    began, ended = [], []

    async def run(_held):
        began.append(True)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    loop, _ = serve(1, run)
    loop.put([lease()])
    eventually(lambda: began)
    loop.stop()
    loop._thread.join(10)
    assert ended == [True]
