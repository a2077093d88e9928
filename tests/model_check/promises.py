"""What must be true at every moment, and of every move: the promises of docs/model.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model_check.tables import ended_badly

if TYPE_CHECKING:
    from tests.model_check.fleet import Move, Scene
    from tests.model_check.worlds import World

FINISHED = "a finished state never changes but by an explicit retry"
EARLY = "dependants never start early"
COUNTERS = "counters equal what the edges say"
ATTEMPTS = "attempts are counted right"
ONCE = "max_attempts 1 starts at most once"
ALONE = "no attempt runs beside another one of its step"
LEASE = "an attempt is accepted at most once, and from the newest lease only"
WORK = "no recorded work is lost"


def of_move(before: World, move: Move, but: frozenset[str] = frozenset()) -> str | None:
    """Return the promise that a move breaks; those in ``but`` are not asked."""
    if move.what[0] != "explicit retry":
        for number, step in enumerate(before.tables.steps):
            if step.ended and move.world.tables.steps[number] != step:
                return f"{FINISHED}: step {number} was {step.state}"
    return f"{LEASE}: {move.broken}" if move.broken and LEASE not in but else None


def of_world(scene: Scene, world: World, but: frozenset[str] = frozenset()) -> str | None:
    """Return the promise that does not hold at this moment; those in ``but`` are not asked."""
    for promise, look in ((EARLY, _early), (COUNTERS, _counters), (ATTEMPTS, _attempts), (ONCE, _once)):
        if promise not in but and (found := look(scene, world)):
            return f"{promise}: {found}"
    if scene.alone and (found := _beside(world)):
        return f"{ALONE}: {found}"
    return None


def _early(scene: Scene, world: World) -> str | None:
    steps = world.tables.steps
    for number, step in enumerate(steps):
        if step.state not in {"available", "scheduled", "running", "completed", "discarded"}:
            continue
        for need in scene.plan.needs[number]:
            if not steps[need].ended or ended_badly(scene.plan, need, steps[need]):
                return f"step {number} is {step.state}, and needs step {need}, which is {steps[need].state}"
    return None


def _counters(scene: Scene, world: World) -> str | None:
    plan, steps, run = scene.plan, world.tables.steps, world.tables.run
    for number, step in enumerate(steps):
        open_needs = sum(not steps[need].ended for need in plan.needs[number])
        if step.state == "blocked" and step.unmet != open_needs:
            return f"step {number} has unmet {step.unmet}, and {open_needs} needs that have not ended"
        if step.state not in {"blocked", "skipped", "cancelled"} and step.unmet:
            return f"step {number} is {step.state} with unmet {step.unmet}"
    if run is None:
        return None
    remaining = sum(not step.ended for step in steps)
    if run.remaining != remaining:
        return f"remaining is {run.remaining}, and {remaining} steps have not ended"
    if (run.state in {"running", "paused"}) != (remaining > 0):
        return f"the run is {run.state} with {remaining} steps that have not ended"
    bad = sum(
        step.state == "cancelled" or (step.state == "discarded" and ended_badly(plan, number, step))
        for number, step in enumerate(steps)
    )
    if run.state in {"running", "completed"} and run.failed != bad:
        return f"failed is {run.failed}, and {bad} steps ended badly"
    if run.state == "failed" and not run.failed:
        return "the run failed, and no step did"
    return None


def _attempts(scene: Scene, world: World) -> str | None:
    for number, (step, truth) in enumerate(zip(world.tables.steps, world.truths, strict=True)):
        if step.attempt - step.base != truth.counted:
            return f"step {number} says {step.attempt - step.base} attempts, there were {truth.counted}"
        if step.crashes != truth.crashed:
            return f"step {number} says {step.crashes} crashes, there were {truth.crashed}"
        if truth.failed > scene.plan.max_attempts[number]:
            return f"step {number} failed {truth.failed} times"
        if step.reason == "exhausted" and truth.failed != scene.plan.max_attempts[number]:
            return f"step {number} is exhausted after {truth.failed} failures"
    return None


def _once(scene: Scene, world: World) -> str | None:
    for number, truth in enumerate(world.truths):
        if scene.plan.max_attempts[number] == 1 and truth.started > 1:
            return f"step {number} started {truth.started} times"
    return None


def _beside(world: World) -> str | None:
    running = [held.step for member in world.members for held in member.held if held.phase == "runs"]
    twice = {step for step in running if running.count(step) > 1}
    return f"step {min(twice)} runs twice" if twice else None
