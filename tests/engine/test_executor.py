"""One attempt, from its lease to its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import math
import threading
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, field_validator

from tributary_daemon import events
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.errors import Abort, HandlerTimeout, LeaseLost, RetryAfter, Snooze, StepCancelled
from tributary_daemon.handlers.declare import handler
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Released, Snoozed
from tributary_daemon.model.retry import Retry

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step


class Args(BaseModel):
    n: int


class Fussy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def look_up(cls, value):
        return {1: "one"}[value]


@pytest.fixture
def execute_async_one(registry, a_lease, a_step):
    """Return a function that runs the one declared async handler."""

    def run(payload="{}", **fields):
        (found,) = registry
        lease = a_lease(payload, **fields)
        return asyncio.run(execute_async(found, lease, a_step(lease)))

    return run


def test_a_result_is_json_text(execute):
    @handler("a.b.v1")
    def double(args: Args, step: Step) -> Args:
        return Args(n=args.n * step.attempt)

    assert execute('{"n": 21}', attempt=2) == Completed('{"n":42}')


def test_a_payload_that_does_not_fit_is_discarded(execute):
    @handler("a.b.v1")
    def work(args: Args) -> None: ...

    outcome = execute('{"n": "many"}')
    assert isinstance(outcome, Discarded)
    assert outcome.error.reason == "invalid_payload"
    assert outcome.error.message.startswith("payload.n: Input should be a valid integer")
    assert outcome.error.traceback is None


def test_a_validator_that_breaks_is_an_error_like_any_other(execute):
    @handler("a.b.v1")
    def work(args: Fussy) -> None: ...

    outcome = execute('{"n": 2}')
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("KeyError", "missing key 2")


@pytest.mark.parametrize(
    ("raised", "kind", "reason"),
    [
        (Abort("no use"), Discarded, "aborted"),
        (Snooze("5m"), Snoozed, None),
        (Snooze("soon"), Failed, None),
        (RetryAfter("10s", "busy"), Failed, None),
        (RetryAfter(-1), Failed, None),
        (StepCancelled(), Released, None),
        (LeaseLost(), Released, None),
        (HandlerTimeout(), Failed, "timeout"),
        (SystemExit(3), Failed, "exit"),
        (KeyboardInterrupt(), Failed, "base_exception"),
        (GeneratorExit(), Failed, "base_exception"),
        (asyncio.CancelledError(), Failed, "base_exception"),
        (ValueError("bad"), Failed, None),
        (BaseExceptionGroup("two", [KeyboardInterrupt(), OSError()]), Failed, "base_exception"),
        (MemoryError(), Failed, None),
    ],
    ids=lambda value: repr(value) if isinstance(value, BaseException) else None,
)
def test_whatever_is_raised_is_an_outcome(execute, raised, kind, reason):
    @handler("a.b.v1")
    def work() -> None:
        raise raised

    outcome = execute(attempt=2)
    assert type(outcome) is kind
    if isinstance(outcome, (Failed, Discarded)):
        assert outcome.error.reason == reason
        assert outcome.error.attempt == 2


def test_the_words_of_steering(execute):
    answers = [Abort("stop all", run=True), Snooze("5m"), RetryAfter("10s", "busy")]

    @handler("a.b.v1")
    def work() -> None:
        raise answers.pop(0)

    aborted = execute()
    assert (aborted.abort_run, aborted.error.message, aborted.error.type) == (True, "stop all", "Abort")
    assert execute() == Snoozed(300.0)
    later = execute()
    assert (later.delay, later.error.message) == (10.0, "busy")


@pytest.mark.parametrize(
    ("result", "reason"),
    [("text", "invalid_result"), (math.nan, "unserialisable_result"), (None, "invalid_result")],
)
def test_wrong_results_fail_the_attempt(execute, result, reason):
    @handler("a.b.v1")
    def work() -> float:
        return result

    outcome = execute()
    assert isinstance(outcome, Failed)
    assert outcome.error.reason == reason
    assert "result" in outcome.error.message


def test_a_coroutine_as_a_result_is_named_and_closed(execute):
    async def later():
        pass

    @handler("a.b.v1")
    def work():
        return later()

    outcome = execute()
    assert outcome.error.reason == "unserialisable_result"
    assert "coroutine" in outcome.error.message


def test_a_timeout_raised_into_the_thread_ends_a_loop(execute, eventually):
    started = threading.Event()
    outcomes = []

    @handler("a.b.v1")
    def spin() -> None:
        while True:
            with contextlib.suppress(Exception):  # as user code does too often
                started.set()

    thread = threading.Thread(target=lambda: outcomes.append(execute(timeout=1.5)))
    thread.start()
    assert started.wait(10)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(HandlerTimeout))
    thread.join(10)
    assert isinstance(outcomes[0], Failed)
    assert (outcomes[0].error.reason, outcomes[0].error.message) == ("timeout", "timed out after 1.5s")


def test_ids_are_bound_while_the_handler_runs(execute):
    seen = []

    @handler("a.b.v1")
    def work() -> None:
        seen.append({var.name: value for var, value in contextvars.copy_context().items()})

    execute(attempt=3)
    assert seen[0]["structlog_step"] == "charge"
    assert seen[0]["structlog_attempt"] == 3
    assert seen[0]["structlog_run_id"].startswith("0199aaaa")
    after = {var.name: value for var, value in contextvars.copy_context().items()}
    assert after.get("structlog_step", ...) is ...


def test_failures_are_told_to_those_who_listen(execute):
    @handler("a.b.v1")
    def work() -> None:
        raise ValueError("bad")

    heard = []
    detach = events.attach(heard.append)
    try:
        execute(retry=Retry(delay=4, jitter=0))
        execute(retry=Retry(not_on=("ValueError",)))
    finally:
        detach()
    assert [(event.type, event.delay, event.step) for event in heard] == [
        ("ValueError", 4.0, "charge"),
        ("ValueError", None, "charge"),
    ]


@pytest.mark.parametrize(
    ("counts", "delay"),
    [
        ({"attempt": 2}, 4.0),
        ({"attempt": 3}, None),
        ({"attempt": 1, "max_attempts": 1}, None),
        # a crash is no failure, and attempts before an explicit retry are forgiven
        ({"attempt": 3, "crashes": 1}, 4.0),
        ({"attempt": 5, "attempt_base": 3}, 4.0),
        ({"attempt": 6, "attempt_base": 3}, None),
    ],
)
def test_no_next_attempt_is_told_where_none_is_left(execute, counts, delay):
    @handler("a.b.v1")
    def work() -> None:
        raise ValueError("bad")

    heard = []
    detach = events.attach(heard.append)
    try:
        execute(retry=Retry(backoff="fixed", delay=4, jitter=0), **counts)
    finally:
        detach()
    assert [event.delay for event in heard] == [delay]


def test_async_handlers_return_and_fail_alike(registry, execute_async_one):
    @handler("a.b.v1")
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return 10 // n

    assert execute_async_one('{"n": 2}') == Completed("5")
    assert execute_async_one('{"n": 0}').error.type == "ZeroDivisionError"
    assert execute_async_one('{"n": "x"}').error.reason == "invalid_payload"


def test_an_async_handler_is_cancelled_at_its_timeout(execute_async_one):
    ended = []

    @handler("a.b.v1")
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    outcome = execute_async_one(timeout=0.05)
    assert isinstance(outcome, Failed)
    assert (outcome.error.reason, outcome.error.message, ended) == ("timeout", "timed out after 50ms", [True])


def test_a_swallowed_timeout_is_a_timeout_all_the_same(execute_async_one):
    @handler("a.b.v1")
    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "fine"
        return "slept"

    assert execute_async_one(timeout=0.05).error.reason == "timeout"


def test_a_timeout_error_of_the_handlers_own_is_not_the_steps_timeout(execute_async_one):
    @handler("a.b.v1")
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    outcome = execute_async_one(timeout=30)
    assert (outcome.error.type, outcome.error.reason) == ("TimeoutError", None)


def test_a_cancelled_task_is_released(registry, a_lease, a_step):
    @handler("a.b.v1")
    async def work() -> None:
        await asyncio.sleep(60)

    async def cancel_it():
        (found,) = registry
        lease = a_lease()
        task = asyncio.create_task(execute_async(found, lease, a_step(lease)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(cancel_it()) == Released("cancelled")


@pytest.mark.parametrize("raised", [SystemExit(2), KeyboardInterrupt(), asyncio.CancelledError()])
def test_base_exceptions_do_not_reach_the_loop(execute_async_one, raised):
    @handler("a.b.v1")
    async def work() -> None:
        raise raised

    assert isinstance(execute_async_one(), Failed)


def test_a_method_runs_on_one_instance(registry, a_lease, a_step):
    found = registry
    handler("a.b.v1")(Counter.count)
    (record,) = found
    lease = a_lease()
    assert [execute_sync(record, lease, a_step(lease)) for _ in range(2)] == [Completed("1"), Completed("2")]


class Counter:
    def __init__(self):
        self.n = 0

    def count(self) -> int:
        self.n += 1
        return self.n
