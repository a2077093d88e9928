"""Code that does not do what a history says: told with both histories, and how a patch keeps it fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.replay_kit import World, declare, double, function
from tributary_daemon.errors import NonDeterminism

if TYPE_CHECKING:
    from tributary_daemon import WorkflowContext


@pytest.fixture(autouse=True)
def _handlers(registry):
    declare()


def changed(before, after, ends=()):
    """Return how the new code deviates from what the old code has recorded."""
    world = World(function(before))
    world.activate()
    for ordinal, result in ends:
        world.end(ordinal, result)
        world.activate()
    world.handler = function(after)
    with pytest.raises(NonDeterminism) as caught:
        world.replay().advance()
    return str(caught.value)


def test_code_that_asks_for_something_else_is_told_with_both_histories():
    async def before(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})
        await ctx.wait_signal("ready")

    async def after(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})
        try:
            await ctx.sleep("1h")
        except Exception:  # noqa: BLE001 - it may catch what it likes
            await ctx.wait_signal("ready")

    told = changed(before, after, [(3, 2)])
    assert "at event 4 its history has signal ready, but it asks for sleep sleep" in told
    assert "history: began → run t.double.v1 → end of 1 (completed) → [signal ready]" in told
    assert "code:    run t.double.v1 → [it asks for sleep sleep]" in told
    assert "ctx.patched" in told


def test_code_that_ends_early_or_waits_or_asks_for_more_deviates():
    async def one(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})
        await ctx.sleep(1)

    async def ends(ctx: WorkflowContext) -> None:
        await ctx.run(double, {"x": 1})

    async def begins(ctx: WorkflowContext) -> None:
        raise ctx.continue_as_new()

    async def two(ctx: WorkflowContext) -> None:
        more = ctx.run(double, {"x": 1}), ctx.run(double, {"x": 1})
        await ctx.gather(*more)

    async def undoes(ctx: WorkflowContext) -> None:
        ctx.on_failure(double, {"x": 1})
        await one(ctx)

    assert "has sleep sleep, but it ended" in changed(one, ends, [(3, 2)])
    assert "has run t.double.v1, but it begins anew" in changed(one, begins)
    assert "has end of 1 (completed), but it asks for run t.double.v1" in changed(one, two, [(3, 2)])
    assert "has run t.double.v1, but it registers t.double.v1 for a failure" in changed(one, undoes)
    assert "has run t.double.v1, but it waits" in changed(two, one)
    assert "has undo by t.double.v1, but it asks for run t.double.v1" in changed(undoes, one)


def test_a_patch_is_off_for_runs_that_went_by_and_on_for_all_others():
    async def old(ctx: WorkflowContext) -> str:
        await ctx.sleep(1)
        await ctx.sleep(2)
        return "old"

    async def new(ctx: WorkflowContext) -> str:
        await ctx.sleep(1)
        if ctx.patched("faster"):
            return "new" if ctx.patched("faster") else "?"
        await ctx.sleep(2)
        return "old" if not ctx.patched("faster") else "?"

    world = World(function(old))
    world.activate()
    world.end(3)
    world.activate()
    world.handler = function(new)
    world.end(4)
    world.activate()
    assert world.result == "old"
    world = World(function(new))
    world.activate()
    world.end(3)
    world.activate()
    assert world.result == "new"
    assert [event["type"] for event in world.events] == ["began", "asked", "ended", "patched"]
    assert world.replay().advance() is None, "and so it is in a replay"


def test_a_patch_is_on_where_the_history_has_not_come_to_it_yet():
    async def old(ctx: WorkflowContext) -> str:
        await ctx.sleep(1)
        return "old"

    async def new(ctx: WorkflowContext) -> str:
        await ctx.sleep(1)
        return "new" if ctx.patched("words") else "old"

    world = World(function(old))
    world.activate()
    world.handler = function(new)
    world.end(3)
    world.activate()
    assert world.result == "new"
