"""Attempts with resources whose time is up, or that are cancelled, while these open, are used or close."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Annotated

from tributary_daemon import Use, events, handler, resource
from tributary_daemon.engine.executor import execute_async
from tributary_daemon.errors import HandlerTimeout
from tributary_daemon.model.outcome import Completed, Released


def test_a_timeout_while_it_opens_is_one_of_the_attempt(equipped, notes, pool):
    @resource
    async def session():
        notes.append("open")
        await asyncio.sleep(3600)

    @handler("a.b.v1")
    async def work(session: Annotated[int, Use(session)]) -> int: ...

    failed = equipped(timeout=0.05)
    assert (failed.error.type, failed.error.reason) == ("HandlerTimeout", "timeout")
    assert notes == ["open"]
    assert pool.is_empty


def test_a_timeout_while_it_closes_does_not_take_the_outcome(equipped, told):
    @resource(scope="attempt")
    async def slow():
        try:
            yield 1
        finally:
            await asyncio.sleep(3600)

    @handler("a.b.v1")
    async def work(slow: Annotated[int, Use(slow)]) -> int:
        return slow

    assert equipped(timeout=0.2) == Completed("1")
    assert [event.error for event in told if isinstance(event, events.ResourceNotClosed)] == [
        "CancelledError"
    ]


def test_an_interrupt_while_it_closes_does_not_take_the_outcome_of_a_thread(equipped, told, eventually):
    closing = threading.Event()

    @resource(scope="attempt")
    def slow():
        try:
            yield 1
        finally:
            closing.set()
            on = threading.Event()
            while not on.wait(0.005):
                pass

    @handler("a.b.v1")
    def work(slow: Annotated[int, Use(slow)]) -> int:
        return slow

    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(equipped()))
    thread.start()
    assert closing.wait(20)
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(HandlerTimeout)
    )
    assert raised == 1
    thread.join(20)
    assert outcomes == [Completed("1")]
    assert [event.error for event in told if isinstance(event, events.ResourceNotClosed)] == [
        "HandlerTimeout"
    ]


def test_a_thread_that_waits_for_another_to_open_can_be_interrupted(equipped, eventually, pool):
    opening, on = threading.Event(), threading.Event()

    @resource
    def slow():
        opening.set()
        on.wait(20)
        return 1

    @handler("a.b.v1")
    def work(slow: Annotated[int, Use(slow)]) -> int:
        return slow

    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(equipped(timeout=1))) for _ in range(2)]
    threads[0].start()
    assert opening.wait(20)
    (other,) = pool._opening.values()
    threads[1].start()
    eventually(lambda: other.waiting, 20, "the second one waits")
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threads[1].ident), ctypes.py_object(HandlerTimeout)
    )
    threads[1].join(20)
    assert [outcome.error.reason for outcome in outcomes] == ["timeout"]
    on.set()
    threads[0].join(20)
    assert outcomes[1:] == [Completed("1")]


def test_a_cancel_of_the_task_releases_and_closes(registry, a_lease, a_step, pool, notes, ascratch):
    began = asyncio.Event()

    @handler("a.b.v1")
    async def work(own: Annotated[list, Use(ascratch)]) -> int:
        began.set()
        await asyncio.sleep(3600)

    async def main():
        lease = a_lease()
        task = asyncio.create_task(execute_async(registry.get("a.b.v1"), lease, a_step(lease), pool))
        await began.wait()
        task.cancel()
        return await task

    assert asyncio.run(main()) == Released("cancelled")
    assert notes == ["open 1", "CancelledError", "close"]
