"""A fleet at work on one run or intent: every way in which it can go on from a moment, faults included."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.model_check import promises
from tests.model_check.rules import CRASHES, GIVEN_BACK, NotPossible, Rules
from tests.model_check.tables import NOBODY, Told
from tests.model_check.worlds import Budget, Held, Truth, World, canonical, first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.model_check.tables import Plan, Step, Tables

    Batch = Sequence[tuple[Told, int | None]]

HELPFUL = True  # no fault: what a fleet does by itself to come to an end
FAULT = False


class Scene(NamedTuple):
    """The bounds of a search."""

    plan: Plan
    budget: Budget
    processes: int = 2
    slots: int = 1
    lookers: bool = True  # a rescue reads first, and writes in a transaction of its own
    outcomes: tuple[str, ...] = ("completed",)
    alone: bool = False  # no fault allows two attempts of one step to run at the same time


class Move(NamedTuple):
    """One way on."""

    what: tuple
    helps: bool
    world: World
    broken: str | None = None


class Fleet:
    """The moves of a fleet."""

    canonical = staticmethod(canonical)

    def __init__(self, scene: Scene, rules: type[Rules] = Rules, but: frozenset[str] = frozenset()) -> None:
        self.scene, self.plan, self.but = scene, scene.plan, but
        self.rules = rules(scene.plan)

    def first(self) -> World:
        """Return the world that all histories start from."""
        return first(self.plan, self.scene.processes, self.scene.budget)

    def done(self, world: World) -> bool:
        """Return whether all work has come to its end."""
        return world.tables.ended

    def broken_by(self, world: World, move: Move) -> str | None:
        """Return the promise that a move breaks."""
        return promises.of_move(world, move, self.but)

    def broken_in(self, world: World) -> str | None:
        """Return the promise that does not hold at a moment."""
        return promises.of_world(self.scene, world, self.but)

    def moves(self, world: World) -> Iterator[Move]:
        """Yield every move that is possible."""
        for number, member in enumerate(world.members):
            if member.mode == "gone":
                yield Move(("starts anew", number), HELPFUL, self._mode(world, number, "works"))
                continue
            yield from self._claims(world, number)
            for held in member.held:
                yield from self._attempt(world, number, held)
            yield from self._many(world, number)
            yield from self._stopping(world, number)
            yield from self._second_transaction(world, number)
        yield from self._rescue(world)
        yield from self._tell(world)
        yield from self._operator(world)
        tables, count = self.rules.promote(world.tables)
        if count:
            yield Move(("promote",), HELPFUL, world._replace(tables=tables))
        for number, step in enumerate(world.tables.steps):
            if step.state == "scheduled" and not step.due:
                yield Move(
                    ("time comes", number), HELPFUL, self._step(world, number, step._replace(due=True))
                )

    # what a process does

    def _claims(self, world: World, number: int) -> Iterator[Move]:
        member = world.members[number]
        if member.mode != "works" or not world.tables.fresh[number]:
            return
        for index, step in enumerate(world.tables.steps):
            if step.state != "available" or len(member.held) >= self.scene.slots:
                continue
            tables = self.rules.claim(world.tables, number, [index])
            suspect = step.lone is not None
            phase = "claimed" if suspect or self.plan.max_attempts[index] == 1 else "ready"
            claim = max(world.claims(index), default=-1) + 1
            claimed = Held(index, step.token, claim, phase, suspect)
            truth = world.truths[index]
            truth = truth._replace(right=claim, counted=truth.counted + 1)
            after = _truth(world._replace(tables=tables), index, truth)
            yield Move(("claim", number, index), HELPFUL, _hold(after, number, (*member.held, claimed)))
            if budget := world.budget.less("lost"):
                yield Move(("claim, answer lost", number, index), FAULT, after._replace(budget=budget))

    def _attempt(self, world: World, number: int, held: Held) -> Iterator[Move]:
        mode, phase = world.members[number].mode, held.phase
        if phase == "claimed" and mode == "works":
            yield self._mark(world, number, held)
        elif phase in {"ready", "marked"} and mode == "works":
            truth = world.truths[held.step]
            after = _truth(world, held.step, truth._replace(started=truth.started + (not held.old)))
            yield Move(("start", number, held.step), HELPFUL, _phase(after, number, held, "runs"))
        elif phase == "runs":
            for outcome in self.scene.outcomes:
                kind = {
                    "retry": "fail",
                    "later": "later",
                    "snoozed": "give",
                    "released": "give",
                    "discarded": "discard",
                    "aborted": "abort",
                }.get(outcome)
                budget = world.budget if kind is None else world.budget.less(kind)
                if budget is not None:
                    yield from self._finish(world._replace(budget=budget), number, held, outcome)
        elif phase not in {"claimed", "ready", "marked", "killed"}:
            after, broken = self._bring(world, [_told(held, phase)], number)
            yield Move(
                ("finish again", number, held.step, phase), HELPFUL, _drop(after, number, [held]), broken
            )

    def _mark(self, world: World, number: int, held: Held) -> Move:
        tables, standing = self.rules.mark(world.tables, [held.lease])
        after = world._replace(tables=tables)
        after = _phase(after, number, held, "marked") if standing else _drop(after, number, [held])
        return Move(("mark the start", number, held.step), HELPFUL, after)

    def _finish(self, world: World, number: int, held: Held, outcome: str) -> Iterator[Move]:
        helps = HELPFUL if outcome == "completed" else FAULT
        after, broken = self._bring(world, [_told(held, outcome)], number)
        yield Move(("finish", number, held.step, outcome), helps, _drop(after, number, [held]), broken)
        if budget := world.budget.less("lost"):
            after = after._replace(budget=budget)
            what = ("finish, answer lost", number, held.step, outcome)
            yield Move(what, FAULT, _phase(after, number, held, outcome), broken)

    def _many(self, world: World, number: int) -> Iterator[Move]:
        member = world.members[number]
        runs = [held for held in member.held if held.phase == "runs"]
        if len(runs) > 1:
            after, broken = self._bring(world, [_told(held, "completed") for held in runs], number)
            yield Move(("finish all", number), HELPFUL, _drop(after, number, runs), broken)
        tables, lost = self.rules.reconcile(world.tables, number, [held.lease for held in member.held])
        if lost or tables != world.tables:
            after = world._replace(tables=tables)
            for index, step in enumerate(world.tables.steps):
                if tables.steps[index].token != step.token or (
                    step.state == "running" and tables.steps[index].ended
                ):
                    after = _truth(
                        after,
                        index,
                        self._noted(after.truths[index], Told(index, step.token, "released"), step),
                    )
            gone = [held for held in member.held if held.lease in lost]
            yield Move(("reconcile", number), HELPFUL, _drop(after, number, gone))

    def _stopping(self, world: World, number: int) -> Iterator[Move]:
        member, fresh = world.members[number], world.tables.fresh[number]
        if not fresh:
            yield Move(("beat", number), HELPFUL, _fresh(world, number, fresh=True))
        elif budget := world.budget.less("silence"):
            yield Move(("silence", number), FAULT, _fresh(world, number, fresh=False)._replace(budget=budget))
        if budget := world.budget.less("death"):
            yield Move(
                ("dies with its supervisor", number), FAULT, self._gone(world._replace(budget=budget), number)
            )
        if budget := world.budget.less("crash"):
            blamed = tuple(_told(held, _blame(held)) for held in member.held)
            after = self._gone(world._replace(budget=budget), number)
            yield Move(("crash", number), FAULT, after._replace(blamed=(*world.blamed, *blamed)))
        if member.mode == "works":
            if budget := world.budget.less("drain"):
                yield Move(
                    ("drain", number), FAULT, self._mode(world, number, "drains")._replace(budget=budget)
                )
        else:
            yield from self._drain(world, number)

    def _drain(self, world: World, number: int) -> Iterator[Move]:
        """Go on with a drain: the rest is killed at the deadline, and only then given back."""
        member = world.members[number]
        if not member.held:
            yield Move(("drained", number), HELPFUL, self._gone(world, number))
        elif member.mode == "drains":
            held = tuple(
                one if one.phase in {"claimed", "ready", "marked"} else one._replace(phase="killed")
                for one in member.held
            )
            yield Move(
                ("deadline: kill", number), HELPFUL, _hold(self._mode(world, number, "killed"), number, held)
            )
        else:
            batch = [
                _told(held, "released" if held.phase == "killed" else "returned") for held in member.held
            ]
            after, broken = self._bring(world, batch, number)
            yield Move(("give back", number), HELPFUL, _hold(after, number, ()), broken)

    def _second_transaction(self, world: World, number: int) -> Iterator[Move]:
        """What a mutant writes later; the protocol has nothing of the kind."""
        return
        yield

    # what others do

    def _rescue(self, world: World) -> Iterator[Move]:
        dead = tuple(
            (Told(*lease, "crashed"), world.truths[lease[0]].right) for lease in self.rules.dead(world.tables)
        )
        if world.seen or (dead and not self.scene.lookers):
            after, broken = self._bring(world, world.seen or dead, None)
            yield Move(("rescue",), HELPFUL, after._replace(seen=()), broken)
        elif dead:
            yield Move(("look for the dead",), HELPFUL, world._replace(seen=dead))

    def _tell(self, world: World) -> Iterator[Move]:
        if world.blamed:
            after, broken = self._bring(world, world.blamed, None)
            yield Move(("tell of the crash",), HELPFUL, after._replace(blamed=()), broken)

    def _operator(self, world: World) -> Iterator[Move]:
        try:
            if budget := world.budget.less("cancel"):
                tables, _ = self.rules.cancel(world.tables)
                truths = tuple(truth._replace(right=None) for truth in world.truths)
                yield Move(("cancel",), FAULT, world._replace(tables=tables, truths=truths, budget=budget))
        except NotPossible:
            pass
        try:
            if budget := world.budget.less("retry"):
                tables = self.rules.retry(world.tables)
                truths = tuple(
                    old if tables.steps[number].ended else Truth() for number, old in enumerate(world.truths)
                )
                members = tuple(
                    member._replace(
                        held=tuple(
                            held if tables.steps[held.step].ended else held._replace(old=True)
                            for held in member.held
                        )
                    )
                    for member in world.members
                )
                after = world._replace(tables=tables, truths=truths, budget=budget, members=members)
                yield Move(("explicit retry",), FAULT, after)
        except NotPossible:
            pass

    # pieces

    def _bring(self, world: World, batch: Batch, number: int | None) -> tuple[World, str | None]:
        """Bring outcomes to the database; note what was accepted, and whether that was right."""
        before = world.tables
        tables, refused = self._write(world, [told for told, _ in batch], number)
        after, broken = world._replace(tables=tables), None
        for told, claim in batch:
            if (told.step, told.token) in refused:
                continue
            truth = after.truths[told.step]
            if truth.right != claim or claim is None:
                broken = f"step {told.step}: '{told.outcome}' was accepted without the newest lease"
            after = _truth(after, told.step, self._noted(truth, told, before.steps[told.step]))
        return after, broken

    def _write(self, world: World, batch: list[Told], number: int | None) -> tuple[Tables, list]:
        return self.rules.finish(world.tables, batch)

    def _noted(self, truth: Truth, told: Told, row: Step) -> Truth:
        """Return what is true after an accepted outcome, by the words of the protocol and not by its code."""
        once, outcome = self.plan.max_attempts[told.step] == 1, told.outcome
        if outcome in CRASHES:
            # nobody knows what had started, except where that is recorded
            back = not row.started and outcome != "crashed_alone" and (once or row.lone is not None)
        else:
            back = outcome in GIVEN_BACK and not (once and outcome == "released" and row.started)
        return truth._replace(
            right=None,
            counted=truth.counted - back,
            crashed=truth.crashed + (outcome in CRASHES and not back),
            failed=truth.failed + (outcome == "retry"),
        )

    def _gone(self, world: World, number: int) -> World:
        steps = tuple(
            step._replace(process=NOBODY) if step.process == number else step for step in world.tables.steps
        )
        world = _fresh(world._replace(tables=world.tables._replace(steps=steps)), number, fresh=True)
        return _member(world, number, world.members[number]._replace(mode="gone", held=(), owed=()))

    def _mode(self, world: World, number: int, mode: str) -> World:
        return _member(world, number, world.members[number]._replace(mode=mode))

    def _step(self, world: World, number: int, step: Step) -> World:
        steps = list(world.tables.steps)
        steps[number] = step
        return world._replace(tables=world.tables._replace(steps=tuple(steps)))


def _told(held: Held, outcome: str) -> tuple[Told, int]:
    later = outcome == "later"
    return Told(held.step, held.token, "retry" if later else outcome, later), held.claim


def _blame(held: Held) -> str:
    """Return what a supervisor makes of an attempt when its process has crashed."""
    if held.phase in {"claimed", "ready", "marked"}:
        return "returned"
    return "crashed_alone" if held.suspect else "suspected"


def _member(world, number, member):
    members = world.members
    return world._replace(members=(*members[:number], member, *members[number + 1 :]))


def _hold(world, number, held):
    return _member(world, number, world.members[number]._replace(held=held))


def _phase(world, number, held, phase):
    kept = world.members[number].held
    return _hold(world, number, tuple(one._replace(phase=phase) if one is held else one for one in kept))


def _drop(world, number, gone):
    return _hold(world, number, tuple(one for one in world.members[number].held if one not in gone))


def _truth(world, number, truth):
    truths = world.truths
    return world._replace(truths=(*truths[:number], truth, *truths[number + 1 :]))


def _fresh(world, number, *, fresh):
    beats = world.tables.fresh
    return world._replace(tables=world.tables._replace(fresh=(*beats[:number], fresh, *beats[number + 1 :])))
