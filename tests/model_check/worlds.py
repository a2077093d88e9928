"""One moment of a fleet at work: the tables, what each process holds, and what really happened."""

from __future__ import annotations

from typing import NamedTuple

from tests.model_check.tables import NOBODY, Plan, Tables, Told, submitted


class Held(NamedTuple):
    """A lease in the memory of a process, and how far its attempt is.

    ``claim`` is the observer's number of the claim, which no process knows: a wrong protocol may hand out one
    token twice. Phases: ``claimed`` (to be marked first), ``ready``, ``marked``, ``runs``, ``killed``,
    or the outcome that was told already and whose answer was lost.
    """

    step: int
    token: int
    claim: int
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

    right: int | None = None  # the newest claim, until its lease was used or taken away
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
    seen: tuple[
        tuple[Told, int | None], ...
    ] = ()  # leases of the dead that a rescue has read and not taken yet
    blamed: tuple[tuple[Told, int | None], ...] = ()  # what a supervisor will tell of a process that crashed

    def tell(self) -> str:
        """Return this moment in one line."""
        tables = self.tables
        told = [
            f"{number}: {step.state}"
            + (f" by {step.process}" if step.process is not None else "")
            + (f", unmet {step.unmet}" if step.unmet else "")
            + f", token {step.token}, attempt {step.attempt}"
            + (f", crashes {step.crashes}" if step.crashes else "")
            for number, step in enumerate(tables.steps)
        ]
        if tables.run is not None:
            told.append(
                f"run {tables.run.state}, remaining {tables.run.remaining}, failed {tables.run.failed}"
            )
        for number, member in enumerate(self.members):
            silent = "" if tables.fresh[number] else ", silent"
            held = "".join(f", {held.step} with token {held.token}: {held.phase}" for held in member.held)
            told.append(f"process {number} {member.mode}{silent}{held}")
        return " | ".join(told)

    def claims(self, step: int) -> set[int]:
        """Return the claims of a step that somebody still knows of."""
        known = {held.claim for member in self.members for held in member.held if held.step == step}
        known.update(
            claim for told, claim in (*self.seen, *self.blamed) if told.step == step and claim is not None
        )
        right = self.truths[step].right
        return known if right is None else known | {right}


def first(plan: Plan, processes: int, budget: Budget) -> World:
    """Return the world right after the submit."""
    return World(submitted(plan, processes), (Member(),) * processes, (Truth(),) * len(plan.needs), budget)


def canonical(world: World) -> World:
    """Return the one world that stands for all that differ in names only.

    Tokens become their rank among those of the step that somebody still has, attempts count from their base,
    and processes, which are all alike, are sorted. Called for every move: what keeps its name is not copied.
    """
    tables, truths = world.tables, world.truths
    tokens: list[set] = [{step.token} for step in tables.steps]
    claims: list[set] = [set() if truth.right is None else {truth.right} for truth in truths]
    for member in world.members:
        for held in member.held:
            tokens[held.step].add(held.token)
            claims[held.step].add(held.claim)
    for told, claim in (*world.seen, *world.blamed) if world.seen or world.blamed else ():
        tokens[told.step].add(told.token)
        if claim is not None:
            claims[told.step].add(claim)
    ranks = [_ranks(*known) for known in zip(tokens, claims, strict=True)]
    members, places, fresh = _sorted(world, [_renamed(member, ranks) for member in world.members])
    steps = []
    for step, (ranked, _) in zip(tables.steps, ranks, strict=True):
        token, place = ranked[step.token], places.get(step.process)
        reason = step.reason if step.ended else None
        if token != step.token or place != step.process or step.base or reason != step.reason:
            step = step._replace(  # noqa: PLW2901 - the same step by another name
                token=token, process=place, attempt=step.attempt - step.base, base=0, reason=reason
            )
        steps.append(step)
    return World(
        Tables(tuple(steps), tables.run, fresh),
        members,
        tuple(
            truth
            if truth.right is None or ranked[truth.right] == truth.right
            else truth._replace(right=ranked[truth.right])
            for truth, (_, ranked) in zip(truths, ranks, strict=True)
        ),
        world.budget,
        tuple(_told(*told, ranks) for told in world.seen) if world.seen else (),
        tuple(_told(*told, ranks) for told in world.blamed) if world.blamed else (),
    )


def _ranks(tokens: set[int], claims: set[int]) -> tuple[dict, dict]:
    return (
        {token: rank for rank, token in enumerate(sorted(tokens))},
        {claim: rank for rank, claim in enumerate(sorted(claims))},
    )


def _told(told: Told, claim: int | None, ranks: list) -> tuple[Told, int | None]:
    tokens, claims = ranks[told.step]
    return told._replace(token=tokens[told.token]), None if claim is None else claims[claim]


def _renamed(member: Member, ranks: list) -> Member:
    held = member.held
    if not held:
        return member
    if len(held) == 1:
        tokens, claims = ranks[held[0].step]
        token, claim = tokens[held[0].token], claims[held[0].claim]
        if token == held[0].token and claim == held[0].claim:
            return member
        return member._replace(held=(held[0]._replace(token=token, claim=claim),))
    return member._replace(
        held=tuple(
            sorted(
                one._replace(token=ranks[one.step][0][one.token], claim=ranks[one.step][1][one.claim])
                for one in held
            )
        )
    )


def _sorted(world: World, members: list[Member]) -> tuple[tuple[Member, ...], dict, tuple[bool, ...]]:
    """Return the processes in their order, the place of each, and whether they beat."""
    fresh, steps = world.tables.fresh, world.tables.steps
    keys = [
        (member, fresh[number], [step.process == number for step in steps], number)
        for number, member in enumerate(members)
    ]
    keys.sort()
    places: dict[int | None, int | None] = {key[3]: place for place, key in enumerate(keys)}
    places[NOBODY] = NOBODY
    return tuple(key[0] for key in keys), places, tuple(key[1] for key in keys)
