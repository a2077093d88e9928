"""A crowd that asks, is interrupted and cancelled at random: nobody waits for ever, nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import random
import threading
import time
from typing import Annotated

import pytest

from tributary_daemon import Use, resource
from tributary_daemon.engine.pool import Pool
from tributary_daemon.errors import HandlerTimeout, ResourceFailed
from tributary_daemon.handlers.resources import record_of

ROUNDS = 60


@pytest.fixture
def chance():
    return random.Random(7)


@pytest.fixture
def ways(chance):
    """Two resources, sync and async, of which the second needs the first; and what they noted."""
    opened, closed = [], []

    @resource
    def first():
        opened.append("first")
        try:
            time.sleep(chance.random() / 2000)
            if chance.random() < 0.2:
                raise OSError("not this time")
            yield object()
        finally:
            closed.append("first")

    @resource
    def second(first: Annotated[object, Use(first)]):
        opened.append("second")
        try:
            time.sleep(chance.random() / 2000)
            yield object()
        finally:
            closed.append("second")

    @resource
    async def third(first: Annotated[object, Use(first)]):
        opened.append("third")
        try:
            await asyncio.sleep(chance.random() / 2000)
            if chance.random() < 0.2:
                raise OSError("not this time")
            yield object()
        finally:
            closed.append("third")

    return record_of(second), record_of(third), opened, closed


def test_threads_that_are_interrupted_at_random(chance, ways, monkeypatch):
    # an interrupt may come before a thread has got to what it does, or behind that
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    wanted = ways[0]
    for _ in range(ROUNDS):
        pool, got = Pool(), []

        def ask(pool=pool, got=got):
            while True:
                with contextlib.suppress(HandlerTimeout, ResourceFailed):
                    got.append(pool.get(wanted))
                    return

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        for _ in range(chance.randrange(6)):
            target = ctypes.c_ulong(chance.choice(threads).ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(HandlerTimeout))
            time.sleep(chance.random() / 1000)
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "nobody waits for ever"
        assert len(set(got)) <= 1
        assert pool._opening == {}
        assert all(pool.get(wanted) is each for each in got)
        pool.close()


def test_tasks_that_are_cancelled_at_random(chance, ways, eventually):
    _, wanted, opened, closed = ways

    async def ask(pool):
        while True:
            with contextlib.suppress(ResourceFailed):
                return await pool.aget(wanted)

    async def one():
        pool = Pool()
        tasks = [asyncio.create_task(ask(pool)) for _ in range(6)]
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(chance.random() / 1000)
            chance.choice(tasks).cancel()
        done, late = await asyncio.wait(tasks, timeout=30)
        assert not late, "nobody waits for ever"
        assert len({task.result() for task in done if not task.cancelled()}) <= 1
        await pool.aclose()
        # what was given up ends in its own time
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=30)
        return pool

    for _ in range(ROUNDS):
        pool = asyncio.run(one())
        eventually(lambda: sorted(opened) == sorted(closed), 30, "nothing stays open")
        assert pool._opening == {}
