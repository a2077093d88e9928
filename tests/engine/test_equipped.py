"""Attempts whose handlers ask for resources: what they get, and what becomes of their outcome."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import pytest

from tributary_daemon import Abort, Retry, Snooze, Use, events, handler, resource
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.handlers.overrides import override
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Snoozed


def test_one_of_an_attempt_is_opened_for_each_and_once_for_all_who_ask(equipped, notes, scratch):
    @resource(scope="attempt")
    def user(scratch: Annotated[list, Use(scratch)]):
        return scratch

    @handler("a.b.v1")
    def work(one: Annotated[list, Use(scratch)], two: Annotated[list, Use(user)], n: int) -> bool:
        notes.append(n)
        return one is two

    assert equipped('{"n": 1}') == Completed("true")
    assert equipped('{"n": 2}', attempt=2) == Completed("true")
    assert notes == ["open 1", 1, "close", "open 2", 2, "close"]


def test_what_the_handler_raises_is_seen_and_counts(equipped, notes, scratch):
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

    assert equipped('{"how": "snooze"}') == Snoozed(60)
    assert isinstance(equipped('{"how": "abort"}'), Discarded)
    failed = equipped('{"how": "error"}')
    assert isinstance(failed, Failed)
    assert failed.error.type == "ValueError"
    assert 'raise ValueError("bad")' in failed.error.traceback
    assert "contextlib" not in failed.error.traceback
    assert equipped('{"how": "exit"}').error.reason == "exit"
    assert equipped('{"how": "no int"}').error.reason == "invalid_result"
    seen = [note for note in notes if not note.startswith("open")]
    assert seen == [
        "Snooze", "close", "Abort", "close", "ValueError", "close", "SystemExit", "close",
        "InvalidInput", "close",
    ]  # fmt: skip


def test_the_same_for_an_async_handler(equipped, notes, ascratch, scratch):
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

    assert equipped() == Completed('"session"')
    assert notes == ["session", "open 1", "open 1", "close", "close", "session closed"]
    notes.clear()
    assert equipped('{"fail": true}').error.type == "ValueError"
    assert notes == [
        "session", "open 1", "open 1", "ValueError", "close", "ValueError", "close", "session closed",
    ]  # fmt: skip


def test_one_that_swallows_the_exception_or_raises_another_changes_no_outcome(equipped, told):
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

    assert equipped('{"fail": false}') == Completed("3")
    assert equipped('{"fail": true}').error.type == "ValueError"
    failed = [event for event in told if isinstance(event, events.ResourceNotClosed)]
    assert [event.error for event in failed] == ["OSError: disk is gone"] * 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_one_that_does_not_open_fails_the_attempt_and_closes_what_is_open(equipped, notes, scratch, kind):
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

    failed = equipped()
    assert isinstance(failed, Failed)
    assert failed.error.type == "ResourceFailed"
    assert failed.error.message.endswith("bank did not open: ConnectionRefusedError: nobody listens")
    assert 'raise ConnectionRefusedError("nobody listens")' in failed.error.traceback
    assert notes == ["open 1", "ResourceFailed", "close"]


def test_a_policy_names_what_the_resource_met(equipped):
    @resource
    def bank():
        raise ConnectionRefusedError("nobody listens")

    seen = []

    @handler("a.b.v1", retry_if=lambda error: seen.append(error) is None)
    def work(bank: Annotated[int, Use(bank)]) -> int: ...

    assert isinstance(equipped(retry=Retry(on=("ConnectionError",))), Failed)
    assert isinstance(equipped(retry=Retry(on=("ResourceFailed",))), Failed)
    assert isinstance(equipped(retry=Retry(on=("ValueError",))), Discarded)
    assert isinstance(equipped(retry=Retry(not_on=("OSError",))), Discarded)
    assert [type(error) for error in seen] == [ConnectionRefusedError] * 4


def test_the_payload_is_read_before_anything_is_opened(equipped, notes, scratch):
    @handler("a.b.v1")
    def work(n: int, own: Annotated[list, Use(scratch)]) -> int: ...

    assert equipped('{"n": "x"}').error.reason == "invalid_payload"
    assert notes == []


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


def test_a_replacement_of_one_of_an_attempt_is_closed_like_it(equipped, notes, scratch):
    def fake():
        yield "fake"
        notes.append("fake closed")

    @handler("a.b.v1")
    def work(own: Annotated[object, Use(scratch)]) -> object:
        return own

    with override(scratch, fake):
        assert equipped() == Completed('"fake"')
    with override(scratch, "a value"):
        assert equipped() == Completed('"a value"')
    assert notes == ["fake closed"]


@resource
def two():
    return 2


class Shop:
    def work(self, n: int, factor: Annotated[int, Use(two)]) -> int:
        return n * factor


def test_a_method_gets_its_resources(equipped):
    handler("a.b.v1")(Shop.work)
    assert equipped('{"n": 21}') == Completed("42")
    assert Shop().work(21, 3) == 63
