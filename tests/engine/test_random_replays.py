"""Random workflow functions: from a history that is cut anywhere, they go on to the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.replay_kit import World, declare, double, function
from tributary_daemon.engine.deviations import told
from tributary_daemon.errors import StepFailed

if TYPE_CHECKING:
    from tributary_daemon import WorkflowContext


@pytest.fixture(autouse=True)
def _handlers(registry):
    declare()


# random functions: a program is a list of things to do, in branches side by side
THINGS = st.sampled_from(["run", "in_place", "sleep", "signal", "patch", "undo", "random", "catch"])
PROGRAMS = st.lists(st.lists(THINGS, max_size=4), min_size=1, max_size=3)


async def interpret(ctx, things, trail):
    for number, thing in enumerate(things):
        match thing:
            case "run":
                trail.append(await ctx.run(double, {"x": number}))
            case "in_place":
                trail.append(await ctx.run(double, {"x": number}, in_place=True))
            case "sleep":
                await ctx.sleep(number)
            case "signal":
                trail.append(await ctx.wait_signal(f"s{number % 2}"))
            case "patch":
                trail.append(ctx.patched(f"p{number}"))
            case "undo":
                ctx.on_failure(double, {"x": number})
            case "random":
                trail.append(ctx.random.random())
            case "catch":
                try:
                    await ctx.run(double, {"x": number}, id=None)
                except StepFailed as error:
                    trail.append(error.type)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PROGRAMS, st.data())
def test_any_history_cut_anywhere_is_gone_on_from_to_the_same_end(programs, data):
    def body():
        async def flow(ctx: WorkflowContext) -> str:
            trail = []
            await ctx.gather(*(interpret(ctx, things, trail) for things in programs), return_exceptions=True)
            return repr(trail)

        return function(flow)

    world = World(body())
    # what had ended by each activation, and how far the history went after it
    batches, ends = [[]], []
    world.activate()
    ends.append(len(world.events))
    while not world.ended:
        order = data.draw(st.permutations(sorted(world.open)))
        batches.append(order[: data.draw(st.integers(1, 2))])
        for ordinal in batches[-1]:
            if data.draw(st.integers(0, 3)) == 0:
                world.end(ordinal, state="discarded", type="ValueError", message="no", reason="exhausted")
            else:
                world.end(ordinal, ordinal)
        world.activate()
        ends.append(len(world.events))
    whole = world.history()
    for length in range(len(whole.events) + 1):
        # recorded that far, a worker died in this activation; from then on all ends in the same order
        at = next(number for number, end in enumerate(ends) if length <= end)
        cut = World(body())
        cut.events = [dict(event) for event in whole.events[:length]]
        asked = [event["ordinal"] for event in cut.events if event["type"] == "asked" and "ordinal" in event]
        cut.made = max([2, *asked]) + 1
        for batch in [[ordinal for part in batches[: at + 1] for ordinal in part], *batches[at + 1 :]]:
            cut.endings |= {ordinal: whole.endings[ordinal] for ordinal in batch}
            cut.activate()
        assert cut.ended
        assert cut.result == world.result
        assert [told(event) for event in cut.events] == [told(event) for event in whole.events]
