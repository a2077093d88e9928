"""What is true at one moment of a fleet at work: the tables, what each process holds, and what really happened."""

from __future__ import annotations

from typing import NamedTuple

from tests.model_check.tables import NOBODY, Plan, Tables, submitted


class Held(NamedTuple):
    """A lease in the memory of a process, and how far its attempt is.

    The phase is ``claimed`` (to be marked first), ``ready``, ``marked``, ``runs`` (user code runs), ``killed``, or
    the outcome that was told already and whose answer was lost.
    """

    step: int
    token: int
    phase: str
    suspect: bool = False
    old: bool = False  # from before an explicit retry

    @property
    def lease(self) -> tuple[int, int]:
        """The step and the token."""
        return self.step, self.token


class Member(NamedTuple):
    """A process: ``works``, ``drains``, is ``killed`` at the deadline of its drain, or is ``gone``."""

    mode: str = "works"
    held: tuple[Held, ...] = ()
    owed: tuple = ()  # only of a mutant: what a second transaction is to write


class Truth(NamedTuple):
    """What an observer noted of a step since its last explicit retry, whatever its row says."""

    right: int | None = None  # the token of the newest lease, until it was used or taken away
    counted: int = 0
    crashed: int = 0
    failed: int = 0
    started: int = 0


class Budget(NamedTuple):
    """How many faults of each kind may still happen."""

    crash: int = 0  # a process dies, its supervisor tells who was to blame
    death: int = 0  # a process dies with its supervisor
    silence: int = 0  # stopped, or cut off: its beats do not come
    lost: int = 0  # the answer to a claim or a finish gets lost after it was committed
    fail: int = 0  # an attempt fails
    later: int = 0  # it fails, and its next one is due later
    give: int = 0  # an attempt is snoozed, or released by its handler
    discard: int = 0
    abort: int = 0
    drain: int = 0
    cancel: int = 0
    retry: int = 0

    def less(self, kind: str) -> Budget | None:
        """Return the budget without one fault of this kind, None if there is none left."""
        left = getattr(self, kind)
        return self._replace(**{kind: left - 1}) if left else None


class World(NamedTuple):
    """One moment."""

    tables: Tables
    members: tuple[Member, ...]
    truths: tuple[Truth, ...]
    budget: Budget
    seen: tuple[tuple[int, int], ...] = ()  # leases of the dead that a rescue has read and not taken yet
    blamed: tuple[tuple[int, int, str], ...] = ()  # what a supervisor will tell of a process that crashed


def first(plan: Plan, processes: int, budget: Budget) -> World:
    """Return the world right after the submit."""
    return World(
        submitted(plan, processes), (Member(),) * processes, (Truth(),) * len(plan.needs), budget
    )


def canonical(world: World) -> World:
    """Return the one world that stands for all that differ in names only.

    Tokens become their rank among those of the step that somebody still has, attempts count from their base,
    and processes, which are all alike, are sorted.
    """
    tables, members, truths = world.tables, world.members, world.truths
    ranks = []
    for number, step in enumerate(tables.steps):
        known = {step.token}
        known.update(held.token for member in members for held in member.held if held.step == number)
        known.update(token for seen, token in world.seen if seen == number)
        known.update(token for told, token, _ in world.blamed if told == number)
        if truths[number].right is not None:
            known.add(truths[number].right)
        ranks.append({token: rank for rank, token in enumerate(sorted(known))})
    renamed = [
        member._replace(
            held=tuple(sorted(held._replace(token=ranks[held.step][held.token]) for held in member.held))
        )
        if member.held
        else member
        for member in members
    ]
    order = sorted(
        range(len(members)),
        key=lambda member: (
            renamed[member],
            tables.fresh[member],
            [step.process == member for step in tables.steps],
        ),
    )
    places = {member: place for place, member in enumerate(order)}
    places[NOBODY] = NOBODY
    steps = tuple(
        step._replace(
            token=ranks[number][step.token],
            process=None if step.process is None else places[step.process],
            attempt=step.attempt - step.base,
            base=0,
            reason=step.reason if step.ended else None,
        )
        for number, step in enumerate(tables.steps)
    )
    return World(
        Tables(steps, tables.run, tuple(tables.fresh[member] for member in order)),
        tuple(renamed[member] for member in order),
        tuple(
            truth if truth.right is None else truth._replace(right=ranks[number][truth.right])
            for number, truth in enumerate(truths)
        ),
        world.budget,
        tuple((number, ranks[number][token]) for number, token in world.seen),
        tuple((number, ranks[number][token], outcome) for number, token, outcome in world.blamed),
    )
