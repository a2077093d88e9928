"""Attempts whose handlers ask for resources: what they get, and what becomes of their outcome."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
from typing import Annotated

import pytest

from tributary_daemon import Abort, Retry, Snooze, Step, Use, events, handler, resource
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.engine.pool import Pool
from tributary_daemon.errors import HandlerTimeout
from tributary_daemon.handlers.overrides import override
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Released, Snoozed


@pytest.fixture
def notes():
    return []


@pytest.fixture
def pool():
    made = Pool()
    yield made
    made.close()


@pytest.fixture
def told():
    heard = []
    detach = events.attach(heard.append)
    yield heard
    detach()


@pytest.fixture
def run(registry, a_lease, a_step, pool):
    """Return a function that runs one attempt of the one declared handler, whatever its kind."""

    def run(payload="{}", **fields):
        (found,) = registry
        lease = a_lease(payload, **fields)
        if not found.is_async:
            return execute_sync(found, lease, a_step(lease), pool)

        async def alone():
            try:
                return await execute_async(found, lease, a_step(lease), pool)
            finally:
                await pool.aclose(asyncio.get_running_loop())

        return asyncio.run(alone())

    return run


@pytest.fixture
def scratch(notes):
    """A resource of an attempt that notes what it sees."""

    @resource(scope="attempt")
    def scratch(step: Step):
        notes.append(f"open {step.attempt}")
        try:
            yield notes
        except BaseException as error:
            notes.append(type(error).__name__)
            raise
        finally:
            notes.append("close")

    return scratch


@pytest.fixture
def ascratch(notes):
    @resource(scope="attempt")
    async def ascratch(step: Step):
        notes.append(f"open {step.attempt}")
        try:
            yield notes
        except BaseException as error:
            notes.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            notes.append("close")

    return ascratch


def test_one_of_an_attempt_is_opened_for_each_and_once_for_all_who_ask(run, notes, scratch):
    @resource(scope="attempt")
    def user(scratch: Annotated[list, Use(scratch)]):
        return scratch

    @handler("a.b.v1")
    def work(one: Annotated[list, Use(scratch)], two: Annotated[list, Use(user)], n: int) -> bool:
        notes.append(n)
        return one is two

    assert run('{"n": 1}') == Completed("true")
    assert run('{"n": 2}', attempt=2) == Completed("true")
    assert notes == ["open 1", 1, "close", "open 2", 2, "close"]


def test_what_the_handler_raises_is_seen_and_counts(run, notes, scratch):
    @handler("a.b.v1")
    def work(scratch: Annotated[list, Use(scratch)], how: str) -> int:
        match how:
            case "snooze":
                raise Snooze("1m")
            case "abort":
                raise Abort("no way")
            case "error":
                raise ValueError("bad")
            case "exit":
                raise SystemExit(3)
        return how

    assert run('{"how": "snooze"}') == Snoozed(60)
    assert isinstance(run('{"how": "abort"}'), Discarded)
    failed = run('{"how": "error"}')
    assert isinstance(failed, Failed)
    assert failed.error.type == "ValueError"
    assert 'raise ValueError("bad")' in failed.error.traceback
    assert "contextlib" not in failed.error.traceback
    assert run('{"how": "exit"}').error.reason == "exit"
    assert run('{"how": "no int"}').error.reason == "invalid_result"
    seen = [note for note in notes if not note.startswith("open")]
    assert seen == [
        "Snooze", "close", "Abort", "close", "ValueError", "close", "SystemExit", "close",
        "InvalidInput", "close",
    ]  # fmt: skip


def test_the_same_for_an_async_handler(run, notes, ascratch, scratch):
    @resource
    async def session():
        notes.append("session")
        yield "session"
        notes.append("session closed")

    @handler("a.b.v1")
    async def work(
        session: Annotated[str, Use(session)],
        own: Annotated[list, Use(ascratch)],
        sync: Annotated[list, Use(scratch)],
        fail: bool = False,
    ) -> str:
        if fail:
            raise ValueError("bad")
        await asyncio.sleep(0)
        return session

    assert run() == Completed('"session"')
    assert notes == ["session", "open 1", "open 1", "close", "close", "session closed"]
    notes.clear()
    assert run('{"fail": true}').error.type == "ValueError"
    assert notes == [
        "session", "open 1", "open 1", "ValueError", "close", "ValueError", "close", "session closed",
    ]  # fmt: skip


def test_one_that_swallows_the_exception_or_raises_another_changes_no_outcome(run, told):
    @resource(scope="attempt")
    def swallows():
        with contextlib.suppress(ValueError):
            yield 1

    @resource(scope="attempt")
    def raises():
        try:
            yield 2
        finally:
            raise OSError("disk is gone")

    @handler("a.b.v1")
    def work(one: Annotated[int, Use(swallows)], two: Annotated[int, Use(raises)], fail: bool) -> int:
        if fail:
            raise ValueError("bad")
        return one + two

    assert run('{"fail": false}') == Completed("3")
    assert run('{"fail": true}').error.type == "ValueError"
    failed = [event for event in told if isinstance(event, events.ResourceNotClosed)]
    assert [event.error for event in failed] == ["OSError: disk is gone"] * 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_one_that_does_not_open_fails_the_attempt_and_closes_what_is_open(run, notes, scratch, kind):
    @resource
    def bank():
        raise ConnectionRefusedError("nobody listens")

    if kind == "sync":

        @handler("a.b.v1")
        def work(own: Annotated[list, Use(scratch)], bank: Annotated[int, Use(bank)]) -> int:
            raise AssertionError("not to be called")
    else:

        @handler("a.b.v1")
        async def awork(own: Annotated[list, Use(scratch)], bank: Annotated[int, Use(bank)]) -> int:
            raise AssertionError("not to be called")

    failed = run()
    assert isinstance(failed, Failed)
    assert failed.error.type == "ResourceFailed"
    assert failed.error.message.endswith("bank did not open: ConnectionRefusedError: nobody listens")
    assert 'raise ConnectionRefusedError("nobody listens")' in failed.error.traceback
    assert notes == ["open 1", "ResourceFailed", "close"]


def test_a_policy_names_what_the_resource_met(run):
    @resource
    def bank():
        raise ConnectionRefusedError("nobody listens")

    seen = []

    @handler("a.b.v1", retry_if=lambda error: seen.append(error) is None)
    def work(bank: Annotated[int, Use(bank)]) -> int: ...

    assert isinstance(run(retry=Retry(on=("ConnectionError",))), Failed)
    assert isinstance(run(retry=Retry(on=("ResourceFailed",))), Failed)
    assert isinstance(run(retry=Retry(on=("ValueError",))), Discarded)
    assert isinstance(run(retry=Retry(not_on=("OSError",))), Discarded)
    assert [type(error) for error in seen] == [ConnectionRefusedError] * 4


def test_the_payload_is_read_before_anything_is_opened(run, notes, scratch):
    @handler("a.b.v1")
    def work(n: int, own: Annotated[list, Use(scratch)]) -> int: ...

    assert run('{"n": "x"}').error.reason == "invalid_payload"
    assert notes == []


def test_a_timeout_while_it_opens_is_one_of_the_attempt(run, notes, pool):
    @resource
    async def session():
        notes.append("open")
        await asyncio.sleep(3600)

    @handler("a.b.v1")
    async def work(session: Annotated[int, Use(session)]) -> int: ...

    failed = run(timeout=0.05)
    assert (failed.error.type, failed.error.reason) == ("HandlerTimeout", "timeout")
    assert notes == ["open"]
    assert pool.is_empty


def test_a_timeout_while_it_closes_does_not_take_the_outcome(run, told):
    @resource(scope="attempt")
    async def slow():
        try:
            yield 1
        finally:
            await asyncio.sleep(3600)

    @handler("a.b.v1")
    async def work(slow: Annotated[int, Use(slow)]) -> int:
        return slow

    assert run(timeout=0.2) == Completed("1")
    assert [event.error for event in told if isinstance(event, events.ResourceNotClosed)] == [
        "CancelledError"
    ]


def test_an_interrupt_while_it_closes_does_not_take_the_outcome_of_a_thread(run, told, eventually):
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
    thread = threading.Thread(target=lambda: outcomes.append(run()))
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


def test_a_thread_that_waits_for_another_to_open_can_be_interrupted(run, eventually, pool):
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
    threads = [threading.Thread(target=lambda: outcomes.append(run(timeout=1))) for _ in range(2)]
    threads[0].start()
    assert opening.wait(20)
    (over,) = [opened.over for opened in pool._opening.values()]
    threads[1].start()
    eventually(lambda: over._waiters, 20, "the second one waits")
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


def test_without_a_pool_it_is_open_for_the_attempt_alone(registry, a_lease, a_step, notes):
    @resource
    def bank():
        notes.append("open")
        yield 1
        notes.append("close")

    @handler("a.b.v1")
    def work(bank: Annotated[int, Use(bank)]) -> int:
        return bank

    @handler("a.b.v2")
    async def awork(bank: Annotated[int, Use(bank)]) -> int:
        return bank

    lease = a_lease()
    assert execute_sync(registry.get("a.b.v1"), lease, a_step(lease)) == Completed("1")
    assert asyncio.run(execute_async(registry.get("a.b.v2"), lease, a_step(lease))) == Completed("1")
    assert notes == ["open", "close"] * 2


def test_a_replacement_of_one_of_an_attempt_is_closed_like_it(run, notes, scratch):
    def fake():
        yield "fake"
        notes.append("fake closed")

    @handler("a.b.v1")
    def work(own: Annotated[object, Use(scratch)]) -> object:
        return own

    with override(scratch, fake):
        assert run() == Completed('"fake"')
    with override(scratch, "a value"):
        assert run() == Completed('"a value"')
    assert notes == ["fake closed"]


@resource
def two():
    return 2


class Shop:
    def work(self, n: int, factor: Annotated[int, Use(two)]) -> int:
        return n * factor


def test_a_method_gets_its_resources(run):
    handler("a.b.v1")(Shop.work)
    assert run('{"n": 21}') == Completed("42")
    assert Shop().work(21, 3) == 63
