"""The resources of a process: opened once, closed last first, tried again when they did not open."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated

import pytest

from tributary_daemon import Use, events, resource
from tributary_daemon.engine.pool import Pool
from tributary_daemon.errors import ResourceFailed, Snooze
from tributary_daemon.handlers.overrides import override, replacements
from tributary_daemon.handlers.resources import record_of


def named(function):
    return record_of(function)


def test_it_is_opened_once_and_closed_last_first(pool, notes, told):
    @resource
    def config():
        notes.append("open config")
        yield "config"
        notes.append("close config")

    @resource
    def bank(config: Annotated[str, Use(config)]):
        notes.append(f"open bank with {config}")
        yield object()
        notes.append("close bank")

    @resource
    def plain():
        return object()

    assert pool.get(named(plain)) is pool.get(named(plain))
    assert pool.get(named(bank)) is pool.get(named(bank))
    assert pool.get(named(config)) == "config"
    pool.close()
    assert notes == ["open config", "open bank with config", "close bank", "close config"]
    assert [type(event).__name__ for event in told] == ["ResourceOpened"] * 3 + ["ResourceClosed"] * 2
    with pytest.raises(ResourceFailed, match="its process ends"):
        pool.get(named(plain))


def test_ten_threads_that_ask_at_once_get_one(pool, notes):
    go, asked = threading.Event(), threading.Barrier(10)

    @resource
    def slow():
        notes.append("open")
        go.wait(20)
        return object()

    got = []

    def ask():
        asked.wait(20)
        got.append(pool.get(named(slow)))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(20)
    assert notes == ["open"]
    assert len(got) == 10
    assert len(set(got)) == 1


def test_what_did_not_open_is_tried_again_by_the_next(pool, notes):
    @resource
    def flaky():
        notes.append("try")
        if len(notes) < 3:
            raise ConnectionError("refused")
        return "there"

    for _ in range(2):
        with pytest.raises(ResourceFailed, match=r"flaky did not open: ConnectionError: refused") as caught:
            pool.get(named(flaky))
        assert isinstance(caught.value.__cause__, ConnectionError)
    assert pool.get(named(flaky)) == "there"


def test_the_innermost_that_did_not_open_is_named(pool):
    @resource
    def inner():
        raise OSError("no")

    @resource
    def outer(inner: Annotated[str, Use(inner)]):
        return inner

    with pytest.raises(ResourceFailed, match="inner did not open: OSError: no"):
        pool.get(named(outer))


def test_those_who_wait_fail_with_the_one_that_tries(pool, notes, eventually):
    go, fail = threading.Event(), threading.Event()

    @resource
    def slow():
        notes.append("try")
        go.set()
        fail.wait(20)
        raise ConnectionError("refused")

    caught = []

    def ask():
        try:
            pool.get(named(slow))
        except ResourceFailed as error:
            caught.append(error)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert go.wait(20)
    (opening,) = pool._opening.values()
    second.start()
    eventually(lambda: opening.waiting, 20, "the second one waits")
    fail.set()
    first.join(20)
    second.join(20)
    assert len(caught) == 2
    assert len(set(map(id, caught))) == 2
    assert notes == ["try"]


def test_an_interrupt_of_the_one_that_tries_is_not_passed_on(pool, notes):
    go, on = threading.Event(), threading.Event()

    @resource
    def slow():
        notes.append("try")
        if len(notes) == 1:
            go.set()
            on.wait(20)
            raise KeyboardInterrupt
        return "there"

    raised = []

    def interrupted():
        try:
            pool.get(named(slow))
        except KeyboardInterrupt as error:
            raised.append(error)

    got = []
    first = threading.Thread(target=interrupted)
    second = threading.Thread(target=lambda: got.append(pool.get(named(slow))))
    first.start()
    assert go.wait(20)
    second.start()
    on.set()
    first.join(20)
    second.join(20)
    assert (len(raised), got, notes) == (1, ["there"], ["try", "try"])


def test_what_steers_an_attempt_passes(pool):
    @resource
    def closed():
        raise Snooze("1h")

    with pytest.raises(Snooze):
        pool.get(named(closed))
    with pytest.raises(Snooze):
        asyncio.run(pool.aget(named(closed)))


def test_an_error_in_closing_is_told_and_the_others_are_closed(pool, notes, told):
    @resource
    def good():
        yield 1
        notes.append("closed")

    @resource
    def bad():
        yield 2
        raise OSError("stuck")

    @resource
    def twice():
        yield 3
        yield 4

    for each in (good, bad, twice):
        pool.get(named(each))
    pool.close()
    assert notes == ["closed"]
    failed = [event for event in told if isinstance(event, events.ResourceNotClosed)]
    assert ["twice" in failed[0].resource, "bad" in failed[1].resource] == [True, True]
    assert failed[1].error == "OSError: stuck"
    assert "stuck" in failed[1].traceback


def test_an_async_one_is_opened_once_and_closed_in_the_task_that_opened_it(pool, notes):
    @resource
    def config():
        notes.append(("open config", threading.current_thread() is threading.main_thread()))
        yield "config"
        notes.append("close config")

    @resource
    async def session(config: Annotated[str, Use(config)]):
        task = asyncio.current_task()
        await asyncio.sleep(0)
        async with asyncio.TaskGroup(), asyncio.timeout(None):
            yield object()
        notes.append(("close session", asyncio.current_task() is task))

    async def main():
        got = await asyncio.gather(*(pool.aget(named(session)) for _ in range(10)))
        assert len(set(got)) == 1
        assert pool.needs_loop
        await pool.aclose()

    asyncio.run(main())
    assert notes == [("open config", False), ("close session", True), "close config"]


def test_a_plain_async_function_is_a_resource_too(pool):
    @resource
    async def session():
        await asyncio.sleep(0)
        return object()

    async def main():
        return await pool.aget(named(session)) is await pool.aget(named(session))

    assert asyncio.run(main())


def test_each_loop_has_its_own_and_closes_it(pool, notes):
    @resource
    async def session():
        notes.append("open")
        yield asyncio.get_running_loop()
        notes.append("close")

    async def main():
        loop = asyncio.get_running_loop()
        assert await pool.aget(named(session)) is loop
        await pool.aclose(loop)

    asyncio.run(main())
    asyncio.run(main())
    assert notes == ["open", "close"] * 2
    assert pool.is_empty


def test_an_async_one_that_did_not_open_is_tried_again(pool, notes):
    @resource
    async def flaky():
        await asyncio.sleep(0)
        notes.append("try")
        if len(notes) == 1:
            raise ConnectionError("refused")
        return "there"

    async def main():
        first = await asyncio.gather(*(pool.aget(named(flaky)) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in first] == [ResourceFailed] * 3
        return await pool.aget(named(flaky))

    assert asyncio.run(main()) == "there"
    assert notes == ["try", "try"]


def test_an_opening_ends_with_the_last_that_waits_for_it(pool, notes):
    async def main():
        began = asyncio.Event()

        @resource
        async def hangs():
            notes.append("try")
            began.set()
            try:
                await asyncio.sleep(0 if len(notes) > 1 else 3600)
            except asyncio.CancelledError:
                notes.append("given up")
                raise
            return "there"

        first, second = (asyncio.create_task(pool.aget(named(hangs))) for _ in range(2))
        await began.wait()
        first.cancel()
        await asyncio.wait([first])
        assert notes == ["try"], "the other one still waits"
        second.cancel()
        await asyncio.wait([second])
        assert first.cancelled()
        assert second.cancelled()
        return await pool.aget(named(hangs))

    assert asyncio.run(main()) == "there"
    assert sorted(notes) == ["given up", "try", "try"]


def test_a_loop_that_ends_without_closing_ends_its_resources(notes):
    pool = Pool()

    @resource
    async def session():
        yield 1
        notes.append("close")

    asyncio.run(pool.aget(named(session)))
    assert notes == ["close"]


def test_a_replacement_is_there_while_it_is_in_force_and_nothing_else_is_kept(notes):
    @resource
    def config():
        return "real"

    @resource
    def bank(config: Annotated[str, Use(config)]):
        notes.append(config)
        return f"bank of {config}"

    pool = Pool(replacements({config: "given"}))
    assert pool.get(named(bank)) == "bank of given"
    with override(config, lambda: "fake"):
        assert pool.get(named(bank)) == "bank of fake"
        assert pool.get(named(bank)) == "bank of fake"
        with override(bank, None):
            assert pool.get(named(bank)) is None
    assert pool.get(named(bank)) == "bank of given"
    assert notes == ["given", "fake"]
    assert Pool().get(named(bank)) == "bank of real"
