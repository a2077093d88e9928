"""Hooks around one attempt: their order, what they change, and what becomes of what they raise."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import inspect
import threading
import time

import pytest

from tributary_daemon import Abort, Hook, RetryAfter, Snooze
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.engine.hooking import Hooks
from tributary_daemon.errors import HandlerError, HandlerTimeout
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.hook_events import HookFailed
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Released, Snoozed


class Noting(Hook):
    """Notes what it sees, and adds its name to payload and result."""

    def __init__(self, notes, name="a", **raising):
        self.notes, self.name, self.raising = notes, name, raising

    def say(self, what):
        self.notes.append(f"{self.name} {what}")
        if what.split()[0] in self.raising:
            raise self.raising[what.split()[0]]

    def before_work(self, step, payload):
        self.say("before")
        return {**payload, "by": payload.get("by", "") + self.name}

    def after_work(self, step, payload, result, error):
        self.say("after" if error is None else f"after {type(error).__name__}")
        return None if error else result + self.name


class ANoting(Noting):
    async def before_work(self, step, payload):
        await asyncio.sleep(0)
        return Noting.before_work(self, step, payload)

    async def around_work(self, step, payload, call):
        self.say("in")
        result = await call(payload)
        self.say("out")
        return result

    async def after_work(self, step, payload, result, error):
        await asyncio.sleep(0)
        return Noting.after_work(self, step, payload, result, error)


@pytest.fixture
def hooked(registry, a_lease, a_step, pool):
    """Return a function that runs one attempt of the one declared handler within hooks."""
    made = []

    def run(*hooks, payload="{}", **fields):
        (found,) = registry
        lease = a_lease(payload, **fields)
        around = Hooks(hooks)
        made.append(around)
        chain = around.of(found)
        if found.is_async:
            return asyncio.run(execute_async(found, lease, a_step(lease), pool, chain))
        return execute_sync(found, lease, a_step(lease), pool, chain)

    yield run
    for around in made:
        around.close()


def declare(kind, work):
    """Declare ``work`` as a handler that is plain or async."""
    if kind == "plain":

        @handler("a.b.v1")
        def plain(payload: dict) -> str:
            return work(payload)
    else:

        @handler("a.b.v1")
        async def asynchronous(payload: dict) -> str:
            await asyncio.sleep(0)
            return work(payload)


kinds = pytest.mark.parametrize("kind", ["plain", "async"])
mixes = pytest.mark.parametrize(("first", "second"), [(Noting, Noting), (ANoting, Noting), (Noting, ANoting)])


def told_of(notes):
    return [note for note in notes if note.split()[1] not in ("in", "out")]


@kinds
@mixes
def test_the_first_is_outermost_and_each_may_change_payload_and_result(hooked, notes, kind, first, second):
    declare(kind, lambda payload: payload["by"])
    assert hooked(first(notes, "a"), second(notes, "b")) == Completed('"abba"')
    assert told_of(notes) == ["a before", "b before", "b after", "a after"]


@kinds
def test_an_async_hook_goes_around_both_kinds_of_handlers(hooked, notes, kind):
    declare(kind, lambda payload: notes.append(threading.current_thread().name) or "x")
    assert hooked(ANoting(notes)) == Completed('"xa"')
    here = threading.current_thread().name
    assert notes == ["a before", "a in", here, "a out", "a after"]


@kinds
@mixes
def test_what_a_handler_raises_is_seen_by_all_and_stays_what_it_is(hooked, notes, kind, first, second):
    def fail(payload):
        raise ValueError("no")

    declare(kind, fail)
    outcome = hooked(first(notes, "a"), second(notes, "b"))
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "no")
    assert told_of(notes)[2:] == ["b after ValueError", "a after ValueError"]


@kinds
@pytest.mark.parametrize("first", [Noting, ANoting])
def test_what_comes_before_work_is_judged_like_an_error_of_the_handler(hooked, notes, kind, first):
    declare(kind, lambda payload: "never")
    raised = {
        Abort("enough"): Discarded, Snooze(5): Snoozed, RetryAfter(7): Failed, KeyError("x"): Failed,
    }  # fmt: skip
    for error, expected in raised.items():
        outcome = hooked(Noting(notes, "a"), first(notes, "b", before=error))
        assert isinstance(outcome, expected)
    assert hooked(first(notes, "b", before=RetryAfter(7))).delay == 7
    # its own `after_work` is not called, those further out see it
    assert notes[:3] == ["a before", "b before", "a after Abort"]


@kinds
@pytest.mark.parametrize("first", [Noting, ANoting])
def test_what_is_raised_after_a_success_fails_the_attempt(hooked, notes, kind, first):
    declare(kind, lambda payload: "done")
    outcome = hooked(Noting(notes, "a"), first(notes, "b", after=OSError("audit")))
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "audit"
    assert notes[-1] == "a after OSError"


@kinds
@pytest.mark.parametrize("first", [Noting, ANoting])
def test_what_is_raised_after_a_failure_is_noted_and_the_first_error_stands(hooked, notes, told, kind, first):
    def fail(payload):
        raise ValueError("no")

    declare(kind, fail)
    outcome = hooked(Noting(notes, "a"), first(notes, "b", after=OSError("audit")))
    assert outcome.error.type == "ValueError"
    assert f"after_work of hook tests.engine.test_hooking.{first.__name__} failed: OSError: audit" in (
        outcome.error.traceback
    )
    (event,) = [event for event in told if isinstance(event, HookFailed)]
    assert (event.method, event.name, event.error) == ("after_work", "a.b.v1", "OSError: audit")
    assert notes[-1] == "a after ValueError"


@kinds
def test_a_payload_that_does_not_fit_reaches_the_hooks_and_is_discarded(hooked, notes, kind):
    if kind == "plain":

        @handler("a.b.v1")
        def plain(n: int) -> str:
            return "never"
    else:

        @handler("a.b.v1")
        async def asynchronous(n: int) -> str:
            return "never"

    class Watching(Hook):
        def after_work(self, step, payload, result, error):
            notes.append(type(error).__name__)

    outcome = hooked(Watching(), payload='{"n": "many"}')
    assert isinstance(outcome, Discarded)
    assert outcome.error.reason == "invalid_payload"
    assert notes == ["InvalidInput"]


@kinds
def test_a_result_that_does_not_fit_keeps_its_reason(hooked, notes, kind):
    declare(kind, lambda payload: 7)
    outcome = hooked(Noting(notes))
    assert (outcome.error.reason, notes[-1]) == ("invalid_result", "a after InvalidInput")


def test_what_hooks_make_of_a_result_has_to_be_json(hooked):
    class Spoiling(Hook):
        def after_work(self, step, payload, result, error):
            return {1, object()}

    declare("plain", lambda payload: "x")
    assert hooked(Spoiling()).error.reason == "unserialisable_result"


def test_a_hook_may_call_again_or_not_at_all(hooked, notes):
    class Twice(Hook):
        def around_work(self, step, payload, call):
            return [call(payload), call({"n": 2})]

    class Never(Hook):
        def around_work(self, step, payload, call):
            return None

    declare("plain", lambda payload: str(payload.get("n", 1)))
    assert hooked(Twice()) == Completed('["1","2"]')
    assert hooked(Never(), Noting(notes)) == Completed("null")
    assert notes == []


def test_hooks_are_for_the_names_they_say(registry, notes):
    @handler("billing.charge.v1")
    def charge(payload: dict) -> None: ...

    @handler("content.thumbnail.v1")
    def thumbnail(payload: dict) -> None: ...

    one = Noting(notes)
    one.names = ("billing.%",)
    hooks = Hooks([one, Hook()])
    assert hooks.of(registry.get("content.thumbnail.v1")) is None

    @handler("trib.own.v1")
    def own(payload: dict) -> None: ...

    assert Hooks([Noting(notes)]).of(registry.get("trib.own.v1")) is None
    chain = hooks.of(registry.get("billing.charge.v1"))
    assert chain is hooks.of(registry.get("billing.charge.v1"))


def test_a_plain_hook_cannot_go_around_an_async_handler(registry):
    class Plain(Hook):
        def around_work(self, step, payload, call):
            return call(payload)

    declare("async", lambda payload: "x")
    (found,) = registry
    with pytest.raises(HandlerError, match=r"cannot wait for a\.b\.v1, which is async"):
        Hooks([Plain()]).of(found)


def test_plain_methods_that_wait_run_in_a_thread_beside_an_async_handler(hooked, notes):
    context = contextvars.ContextVar("context", default="lost")

    class Waiting(Hook):
        blocking = True

        async def around_work(self, step, payload, call):
            context.set("kept")
            return await call(payload)

    class Within(Hook):
        blocking = True

        def before_work(self, step, payload):
            notes.append((threading.current_thread() is threading.main_thread(), context.get()))

    declare("async", lambda payload: "x")
    assert hooked(Waiting(), Within()) == Completed('"x"')
    assert notes == [(False, "kept")]


def test_the_timeout_of_an_async_handler_holds_over_its_hooks(hooked, notes):
    class Slow(Hook):
        async def before_work(self, step, payload):
            try:
                await asyncio.sleep(60)
            finally:
                notes.append("left")

    declare("async", lambda payload: "never")
    outcome = hooked(Noting(notes), Slow(), timeout=0.02)
    assert (outcome.error.type, outcome.error.reason) == ("HandlerTimeout", "timeout")
    assert notes == ["a before", "left", "a after HandlerTimeout"]


def test_a_timeout_raised_into_a_thread_ends_the_async_hook_it_waits_for(hooked, notes):
    arrived, left = threading.Event(), threading.Event()

    class Slow(Hook):
        async def before_work(self, step, payload):
            arrived.set()
            try:
                await asyncio.sleep(60)
            finally:
                left.set()

    declare("plain", lambda payload: "never")
    here = threading.get_ident()

    def interrupt():
        arrived.wait(30)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(here), ctypes.py_object(HandlerTimeout))

    clock = threading.Thread(target=interrupt)
    clock.start()
    outcome = hooked(Noting(notes), Slow(), timeout=60.0)
    clock.join()
    assert outcome.error.reason == "timeout"
    assert left.wait(30)
    assert notes == ["a before", "a after HandlerTimeout"]


def test_a_cancelled_attempt_tells_its_hooks_and_is_released(registry, a_lease, a_step, notes):
    started = asyncio.Event()

    @handler("a.b.v1")
    async def work(payload: dict) -> None:
        started.set()
        await asyncio.sleep(60)

    async def run():
        (found,) = registry
        lease = a_lease()
        chain = Hooks([ANoting(notes)]).of(found)
        task = asyncio.create_task(execute_async(found, lease, a_step(lease), None, chain))
        await started.wait()
        task.cancel()
        return await task

    assert asyncio.run(run()) == Released("cancelled")
    assert notes == ["a before", "a in", "a after StepCancelled"]


def test_each_process_has_a_copy_that_is_opened_and_closed(registry):
    class Opened(Hook):
        opened = 0

        def open(self, host):
            self.opened += 1

        def close(self):
            raise OSError("late")

    given = Opened()
    hooks = Hooks([given])
    hooks.open(None)
    hooks.close()
    assert given.opened == 0


def test_without_hooks_nothing_of_them_is_called(registry, a_lease, a_step, monkeypatch):
    monkeypatch.setattr("tributary_daemon.engine.executor.run_hooked", None)

    @handler("a.b.v1")
    def work(payload: dict) -> str:
        return "x"

    (found,) = registry
    lease = a_lease()
    assert execute_sync(found, lease, a_step(lease)) == Completed('"x"')
    assert inspect.signature(execute_sync).parameters["chain"].default is None


def test_stop_iteration_of_a_handler_gets_through_an_async_hook(hooked, notes):
    def stop(payload):
        raise StopIteration

    declare("plain", stop)
    started = time.monotonic()
    outcome = hooked(ANoting(notes))
    assert outcome.error.type == "RuntimeError"
    assert time.monotonic() - started < 60
