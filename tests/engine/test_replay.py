"""Replay is a pure function: equal histories, equal commands; what deviates is told with both histories."""

from __future__ import annotations

import asyncio
import json
import traceback
from datetime import timedelta

import pytest

from tests.engine.replay_kit import START, Answer, World, answer, declare, double, function
from tributary_daemon import WorkflowContext, handler
from tributary_daemon.errors import HandlerError, InvalidInput, StepFailed, WaitOver
from tributary_daemon.model.history import History


@pytest.fixture(autouse=True)
def _handlers(registry):
    declare()


def kinds(events):
    return [event["type"] for event in events]


def test_what_was_asked_for_comes_from_the_record_and_is_asked_for_once():
    async def body(ctx: WorkflowContext, x: int) -> int:
        first = await ctx.run(double, {"x": x})
        return await ctx.run(double, {"x": first})

    world = World(function(body), x=1)
    world.activate()
    assert {o: (a["name"], a["payload"]) for o, a in world.open.items()} == {3: ("t.double.v1", {"x": 1})}
    world.end(3, 2)
    world.activate()
    assert {o: a["payload"] for o, a in world.open.items()} == {4: {"x": 2}}
    world.end(4, 4)
    world.activate()
    assert (world.ended, world.result) == (True, 4)
    assert kinds(world.events) == ["began", "asked", "ended", "asked", "ended"]


def test_results_are_of_the_types_that_handlers_say():
    async def body(ctx: WorkflowContext) -> int:
        found = await ctx.run(answer, {"good": True})
        signal = await ctx.wait_signal("ready", Answer)
        assert isinstance(found, Answer)
        return signal.amount

    world = World(function(body))
    world.activate()
    world.end(3, {"good": True, "amount": 3})
    world.activate()
    assert world.open[4]["terms"] == {"kind": "signal", "signal": "ready"}
    world.end(4, {"good": True, "amount": 7})
    world.activate()
    assert world.result == 7


def test_a_signal_that_does_not_fit_its_model_is_an_error_of_the_function():
    async def body(ctx: WorkflowContext) -> None:
        await ctx.wait_signal("ready", Answer)

    world = World(function(body))
    world.activate()
    world.end(3, {"good": "perhaps"})
    world.activate()
    assert isinstance(world.error, InvalidInput)
    assert "payload.good" in str(world.error)


def test_a_payload_that_does_not_fit_its_handler_is_refused_where_it_is_asked_for():
    async def body(ctx: WorkflowContext) -> None:
        ctx.run(double, {"x": "many"})

    world = World(function(body))
    world.activate()
    assert "payload.x" in str(world.error)
    assert kinds(world.events) == ["began"]


def test_what_is_asked_for_first_and_awaited_later_runs_side_by_side():
    async def body(ctx: WorkflowContext) -> list[int]:
        parts = [ctx.run(double, {"x": x}) for x in range(5)]
        return await ctx.gather(*parts)

    world = World(function(body))
    assert world.activate().unmet() == 5, "all of them have to end until it can go on"
    assert sorted(world.open) == [3, 4, 5, 6, 7]
    for ordinal in (6, 3, 7, 5, 4):
        world.end(ordinal, ordinal)
    world.activate()
    assert world.result == [3, 4, 5, 6, 7], "in the order of asking"


def test_a_gather_of_branches_goes_on_with_each_of_them():
    async def branch(ctx, x):
        once = await ctx.run(double, {"x": x})
        return await ctx.run(double, {"x": once})

    async def body(ctx: WorkflowContext) -> list[int]:
        return await ctx.gather(branch(ctx, 1), branch(ctx, 10))

    world = World(function(body))
    assert world.activate().unmet() == 1
    world.end(4, 20)
    world.activate()
    world.end(3, 2)
    world.activate()
    assert [world.open[o]["payload"]["x"] for o in (5, 6)] == [20, 2], "in the order in which they ended"
    world.end(6, 4)
    world.end(5, 40)
    world.activate()
    assert world.result == [4, 40]


def test_the_first_failure_of_a_gather_is_raised_unless_failures_are_asked_for():
    async def body(ctx: WorkflowContext, all_: bool) -> list[str]:
        parts = ctx.run(double, {"x": 1}), ctx.run(double, {"x": 2})
        found = await ctx.gather(*parts, return_exceptions=all_)
        return [type(part).__name__ for part in found]

    world = World(function(body), all_=True)
    world.activate()
    world.end(3, state="discarded", type="ValueError", message="no", reason="exhausted")
    world.activate()
    assert not world.ended
    world.end(4, 4)
    world.activate()
    assert world.result == ["StepFailed", "int"]
    world = World(function(body), all_=False)
    world.activate()
    world.end(3, state="discarded", type="ValueError", message="no", reason="exhausted")
    assert world.activate().left() == (4,), "nobody awaits the other one any more"
    assert isinstance(world.error, StepFailed)
    assert (world.error.step, world.error.type, world.error.reason) == ("double", "ValueError", "exhausted")


def test_failures_can_be_caught_and_a_timeout_is_one_of_its_own():
    async def body(ctx: WorkflowContext) -> str:
        try:
            await ctx.wait_signal("ready", timeout="1m")
        except WaitOver:
            ctx.patched("seen")
        try:
            await ctx.wait_approval("manager", prompt="fine?")
        except StepFailed as error:
            return f"{error.step} {error.reason}"
        return "approved"

    world = World(function(body))
    world.activate()
    assert world.open[3]["terms"]["at"] == (START + timedelta(seconds=61)).isoformat()
    world.end(3, state="discarded", type="WaitTimeout", message="none came", reason="timeout")
    world.activate()
    assert world.open[4] == {
        "ordinal": 4, "id": "manager", "kind": "wait", "name": "manager",
        "payload": {"kind": "approval", "prompt": "fine?"}, "terms": {"kind": "approval", "prompt": "fine?"},
    }  # fmt: skip
    world.end(4, state="discarded", type="Rejected", message="no", reason="rejected")
    world.activate()
    assert world.result == "manager rejected"


def test_what_the_function_raises_tells_the_lines_at_which_it_did():
    async def careless(ctx: WorkflowContext) -> None:
        await ctx.sleep(1)
        raise KeyError("in the branch")

    async def body(ctx: WorkflowContext) -> None:
        beside = ctx.start(careless(ctx))
        for _ in range(3):
            try:
                await beside
            except KeyError:
                ctx.patched("seen")
        await beside

    world = World(function(body))
    world.activate()
    world.end(3)
    world.activate()
    assert str(world.error) == "'in the branch'"
    frames = [frame.name for frame in traceback.extract_tb(world.error.__traceback__)]
    assert frames.index("body") < frames.index("careless") == len(frames) - 1
    # and awaiting it again and again adds nothing
    assert (frames.count("body"), frames.count("careless")) == (1, 1)


def test_first_says_which_came_first():
    async def body(ctx: WorkflowContext) -> int:
        return await ctx.first(ctx.sleep("1h"), ctx.run(double, {"x": 1}))

    world = World(function(body))
    assert world.activate().unmet() == 1
    world.end(4, 2)
    assert world.activate().left() == (3,)
    assert world.result == 1


def test_time_randomness_and_ids_are_equal_in_every_replay():
    seen = []

    async def body(ctx: WorkflowContext) -> None:
        before = (ctx.now(), ctx.random.random(), str(ctx.uuid7()))
        await ctx.run(double, {"x": 1})
        after = (ctx.now(), ctx.random.random(), str(ctx.uuid7()))
        await ctx.run(double, {"x": 1})
        seen.append((before, after))

    world = World(function(body))
    world.activate()
    world.end(3, 2)
    world.activate()
    world.end(4, 2)
    world.activate()
    for _ in range(3):
        world.replay().advance()
    assert len(seen) == 4
    assert len(set(seen)) == 1
    (then, once, first), (later, twice, second) = seen[0]
    assert then < later
    assert once != twice
    assert first < second, "ids grow with time"


def test_what_is_done_in_place_is_done_once_and_its_failure_is_recorded_too():
    async def body(ctx: WorkflowContext) -> str:
        two = await ctx.run(double, {"x": 1}, in_place=True)
        try:
            await ctx.run(fails, {}, in_place=True)
        except StepFailed as error:
            await ctx.sleep(1)
            return f"{two} {error.type}: {error.text}"
        return "?"

    @handler("t.fails.v1")
    def fails() -> None:
        raise ValueError("no luck")

    world = World(function(body))
    world.activate()
    world.end(3)
    world.activate()
    assert world.result == "2 ValueError: no luck"
    assert world.calls == ["t.double.v1", "t.fails.v1"]
    assert kinds(world.events) == ["began", "asked", "did", "asked", "did", "asked", "ended"]


def test_what_led_to_nothing_but_the_end_is_not_recorded_so_that_a_retry_tries_it_again():
    async def body(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})
        await ctx.run(double, {"x": 2})

    world = World(function(body))
    world.activate()
    world.end(3, 2)
    world.activate()
    world.end(4, state="discarded", type="ValueError", message="no")
    world.activate()
    assert isinstance(world.error, StepFailed)
    assert kinds(world.events) == ["began", "asked", "ended", "asked"]
    # what a retry does: the step runs again, and then the function goes on
    del world.endings[4]
    world.open[4] = {}
    world.end(4, 4)
    world.error = None
    world.activate()
    assert world.error is None


def test_a_failure_that_the_function_went_on_from_stays():
    async def body(ctx: WorkflowContext) -> None:
        try:
            await ctx.run(double, {"x": 1})
        except StepFailed:
            await ctx.run(answer, {"good": False})
        raise RuntimeError("after all")

    world = World(function(body))
    world.activate()
    world.end(3, state="discarded", type="ValueError", message="no")
    world.activate()
    world.end(4, {"good": False})
    world.activate()
    assert kinds(world.events) == ["began", "asked", "ended", "asked", "ended"]


def test_steps_get_ids_of_their_own_and_two_of_one_id_are_refused():
    async def body(ctx: WorkflowContext) -> None:
        for _ in range(3):
            ctx.run(double, {"x": 1})
        ctx.run(double, {"x": 1}, id="mine")
        ctx.run("else.where.v2", {})
        with pytest.raises(InvalidInput, match="two steps have the id 'mine'"):
            ctx.run(double, {"x": 1}, id="mine")
        await ctx.sleep(1)

    world = World(function(body))
    world.activate()
    # and it is refused in a replay as well, instead of being taken for what came next
    world.replay().advance()
    assert [ask["id"] for ask in world.open.values()] == [
        "double",
        "double-2",
        "double-3",
        "mine",
        "where",
        "sleep",
    ]


@pytest.mark.parametrize("wait", [lambda: asyncio.sleep(1), lambda: asyncio.sleep(0), asyncio.Event().wait])
def test_what_waits_outside_of_the_history_is_refused(wait):
    async def body(ctx: WorkflowContext) -> None:
        await wait()

    async def main():
        world = World(function(body))
        world.activate()
        return world.error

    assert "of which its history knows nothing" in str(asyncio.run(main()))


def test_options_of_a_step_are_its_own_and_what_cannot_be_in_place_is_refused():
    async def body(ctx: WorkflowContext) -> None:
        ctx.run(double, {"x": 1}, queue="slow", priority=3, max_attempts=7, timeout="2m")
        with pytest.raises(Exception, match="cannot run in place"):
            ctx.run(double, {"x": 1}, in_place=True, timeout="2m")
        with pytest.raises(Exception, match="not at hand in this process"):
            ctx.run("else.where.v2", {}, in_place=True)
        with pytest.raises(InvalidInput, match="is not a handler"):
            ctx.run(print)
        with pytest.raises(HandlerError, match="priority is 100,000"):
            ctx.run(double, {"x": 1}, priority=100_000)
        with pytest.raises(InvalidInput, match="has no time zone"):
            ctx.sleep_until(START.replace(tzinfo=None))
        await ctx.sleep(1)

    world = World(function(body))
    world.activate()
    assert world.error is None
    assert world.open[3]["options"] == {"queue": "slow", "priority": 3, "max_attempts": 7, "timeout": 120.0}


def test_it_begins_anew_whatever_catches():
    async def body(ctx: WorkflowContext, count: int) -> None:
        try:
            raise ctx.continue_as_new({"count": count + 1})  # noqa: TRY301 - as its author writes it
        except Exception:  # noqa: BLE001 - it may catch what it likes
            await ctx.sleep(1)

    world = World(function(body), count=1)
    replay = world.replay()
    replay.advance()
    assert replay.begins_anew.inputs == {"count": 2}
    again = History([{"type": "continued", "count": 4, "first": 12}], {}, 1, 12)

    async def next_(ctx: WorkflowContext) -> None:
        await ctx.sleep(1)

    world = World(function(next_))
    replay = world.replay(again)
    replay.advance()
    assert (replay.continued, replay.asks()[0]["ordinal"]) == (4, 12)


def test_logs_are_silent_and_status_is_kept():
    told = []

    async def body(ctx: WorkflowContext) -> None:
        ctx.set_status({"step": 1})
        told.append(ctx.replaying)
        ctx.log.bind(a=1).info("said", x=1)
        await ctx.sleep(1)
        told.append(ctx.replaying)

    world = World(function(body))
    assert json.loads(world.activate().status) == {"step": 1}
    world.end(3)
    world.activate()
    assert told == [False, True, False]


def test_it_has_at_most_so_many_events(monkeypatch):
    async def body(ctx: WorkflowContext) -> None:
        for _ in range(20):
            await ctx.run(double, {"x": 1}, in_place=True)

    monkeypatch.setattr("tributary_daemon.engine.replay.MOST_EVENTS", 11)
    world = World(function(body))
    world.activate()
    assert "may not have more" in str(world.error)
    assert "continue_as_new" in str(world.error)
