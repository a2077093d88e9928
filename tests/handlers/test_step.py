"""What a handler sees of its step."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from tributary_daemon.errors import CodecError, HandlerError, StepCancelled
from tributary_daemon.handlers.step import StepContext


class User(BaseModel):
    id: int


class FakeConnection:
    def __init__(self):
        self.done = []

    def execute(self, query):
        self.done.append(query)
        return self

    def rollback(self):
        self.done.append("rollback")


class AsyncFake(FakeConnection):
    async def rollback(self):
        self.done.append("rollback")


def test_identity(a_step):
    step = a_step(attempt=2)
    assert (step.id, step.name, step.attempt) == ("charge", "shop.charge.v1", 2)
    assert step.idempotency_token == a_step(attempt=1).idempotency_token
    assert step.idempotency_token != a_step(ordinal=3).idempotency_token
    assert a_step(step_id=None).id == step.run_id
    assert "charge" in repr(step)


def test_surroundings_are_loaded_once_and_only_when_asked_for(a_step, runtime):
    powers = runtime(StepContext({"x": 1}, {"user": {"id": 7}}, {"at": 5}))
    step = a_step(powers)
    assert powers.loads == 0
    assert (step.inputs, step.results, step.progress) == ({"x": 1}, {"user": {"id": 7}}, {"at": 5})
    assert powers.loads == 1


def test_typed_results(a_step, runtime):
    step = a_step(runtime(StepContext(results={"user": {"id": 7}, "ids": [1, 2]})))
    assert step.result("user") == {"id": 7}
    assert step.result("user", User) == User(id=7)
    assert step.result("ids", list[int]) == [1, 2]
    with pytest.raises(HandlerError, match="has no result of a step 'usr'") as caught:
        step.result("usr")
    assert "ids, user" in caught.value.hint
    with pytest.raises(HandlerError, match="does not fit"):
        step.result("ids", User)


def test_heartbeats_are_json_and_stop_a_cancelled_step(a_step, runtime):
    powers = runtime()
    step = a_step(powers)
    step.heartbeat({"done": 3})
    step.heartbeat()
    assert [text for _, text in powers.beats] == ['{"done":3}', "null"]
    with pytest.raises(CodecError, match="progress is of type object"):
        step.heartbeat(object())
    powers.cancelled = True
    assert step.cancelled
    with pytest.raises(StepCancelled):
        step.heartbeat(1)


def test_the_connection_plain_and_as_a_block(a_step, runtime):
    opened = FakeConnection()
    step = a_step(runtime(opened=opened))
    step.connection().execute("one")
    with step.connection() as connection:
        assert connection is opened
        connection.execute("two")
    assert opened.done == ["one", "two"]
    with pytest.raises(ZeroDivisionError), step.connection():
        raise ZeroDivisionError
    assert opened.done == ["one", "two", "rollback"]


def test_the_connection_of_an_async_handler(a_step, runtime):
    opened = AsyncFake()
    step = a_step(runtime(opened=opened))

    async def work():
        assert await step.connection() is opened
        async with step.connection() as connection:
            assert connection is opened
        with pytest.raises(ZeroDivisionError):
            async with step.connection():
                raise ZeroDivisionError

    asyncio.run(work())
    assert opened.done == ["rollback"]
