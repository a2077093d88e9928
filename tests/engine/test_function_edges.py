"""One activation of a workflow function at its edges: ends at once, full histories, logs, strict models."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel, ConfigDict

from tests.engine.replay_kit import START, World, declare, double, function
from tributary_daemon import WorkflowContext, handler
from tributary_daemon.engine import replay as replays
from tributary_daemon.engine.functions import run_function
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.step_log import Nowhere
from tributary_daemon.model.history import Ending, History
from tributary_daemon.model.outcome import Discarded, Recorded, Suspended


class Host:
    """What a process does for a function, without one."""

    lines = Nowhere(None)

    def __init__(self):
        self._seconds = 0

    def now(self):
        self._seconds += 1
        return (START + timedelta(seconds=self._seconds)).isoformat()

    async def call(self, command):
        handler = REGISTRY.get(command.name)
        return json.dumps(await handler.function(**handler.signature.validate(command.payload)))


@pytest.fixture(autouse=True)
def _handlers(registry):
    declare()


@pytest.fixture
def activate(a_lease):
    """Return a function that runs one activation as a worker does."""

    def run(flow, history=None, host=None):
        lease = a_lease("{}", ordinal=1, step_id="main", name=flow.name)
        return asyncio.run(run_function(lease, flow, history or History(), host or Host(), {}))

    return run


def test_a_function_that_a_file_calls_like_a_handler_says_how_to_start_it(a_lease):
    async def body(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})

    flow = function(body)
    lease = a_lease("{}", ordinal=1, step_id="pack", name=flow.name)
    outcome = asyncio.run(run_function(lease, flow, History(), Host(), {}))
    assert isinstance(outcome, Discarded)
    assert outcome.error.reason == "workflow_function"
    assert f"workflow: {flow.name}, instead of task: {flow.name}" in outcome.error.message


def test_two_things_done_in_place_at_once_are_replayed_as_they_were(activate):
    async def echo(x: int) -> int:
        await asyncio.sleep(0)
        return x

    handler("t.echo.v1")(echo)

    async def branch(ctx, x):
        await ctx.run(echo, {"x": x}, in_place=True)
        return await ctx.run(double, {"x": x})

    async def body(ctx: WorkflowContext) -> list[int]:
        return await ctx.gather(branch(ctx, 1), branch(ctx, 2))

    flow = function(body)
    first = activate(flow)
    assert isinstance(first, Recorded)
    assert isinstance(first.outcome, Suspended)
    events = json.loads(first.part.events)
    later = History(events, {3: Ending("completed", Host().now(), 2)}, 2, 5)
    assert isinstance(activate(flow, later), Recorded), "the same code fits its own history"


def test_a_full_history_fails_its_run_and_does_not_pass_for_changed_code(monkeypatch):
    monkeypatch.setattr(replays, "MOST_EVENTS", 8)

    async def body(ctx: WorkflowContext) -> None:
        while True:
            await ctx.run(double, {"x": 1})

    world = World(function(body))
    for _ in range(10):
        world.activate()
        if world.ended:
            break
        world.end(max(world.open), 2)
    assert "may not have more" in str(world.error)


def test_a_full_history_that_waits_goes_on(monkeypatch):
    monkeypatch.setattr(replays, "MOST_EVENTS", 4)

    async def body(ctx: WorkflowContext) -> list[int]:
        return await ctx.gather(*(ctx.run(double, {"x": x}) for x in range(3)))

    world = World(function(body))
    world.activate()
    for n in (3, 4, 5):
        world.end(n, 2)
    world.activate()
    assert world.result == [2, 2, 2]


def test_a_line_that_was_logged_before_a_wait_is_not_logged_again():
    seen = []

    async def body(ctx: WorkflowContext) -> None:
        step = ctx.run(double, {"x": 1})
        if not ctx.replaying:
            seen.append("asked")
        await step

    world = World(function(body))
    world.activate()
    world.end(3, 2)
    world.activate()
    assert world.ended
    assert seen == ["asked"]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime


def test_results_of_strict_models_come_back():
    async def when() -> Strict:
        return Strict(at=datetime.now(UTC))

    handler("t.when.v1")(when)

    async def body(ctx: WorkflowContext) -> str:
        return (await ctx.run(when)).at.isoformat()

    world = World(function(body))
    world.activate()
    world.end(3, {"at": "2026-01-01T00:00:00Z"})
    world.activate()
    assert world.error is None


def test_a_branch_that_nobody_awaits_does_not_fail_in_silence():
    async def wrong(message):
        raise ValueError(message)

    async def body(ctx: WorkflowContext) -> str:
        heard = ctx.start(wrong("caught"))
        ctx.start(wrong("lost"))
        await ctx.gather(heard, return_exceptions=True)
        return "fine"

    world = World(function(body))
    replay = world.activate()
    assert world.result == "fine"
    assert [str(error) for error in replay.unheard()] == ["lost"]


def test_finally_of_a_function_that_waits_says_nothing():
    seen = []

    async def body(ctx: WorkflowContext) -> None:
        try:
            await ctx.run(double, {"x": 1})
        finally:
            if not ctx.replaying:
                seen.append("cleaned up")

    world = World(function(body))
    world.activate()
    assert seen == [], "it waits, and has not come to its end"


def test_a_gather_of_one_thing_twice_and_one_thing_in_two_branches():
    async def branch(step):
        return await step

    async def body(ctx: WorkflowContext) -> list[int]:
        step = ctx.run(double, {"x": 1})
        both = await ctx.gather(step, step)
        return [*both, *await ctx.gather(branch(step), branch(step))]

    world = World(function(body))
    assert world.activate().unmet() == 1
    world.end(3, 2)
    world.activate()
    assert world.result == [2, 2, 2, 2]
