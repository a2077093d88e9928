"""What the model remembers of the database: the rows of one run, or of one intent, and who still beats."""

from __future__ import annotations

from typing import NamedTuple

ENDED = frozenset({"completed", "skipped", "cancelled", "discarded"})
NOBODY = -1  # holds a lease, and will never beat again


class Plan(NamedTuple):
    """What never changes: the needs of each step, its ``max_attempts``, whether its failure is tolerated."""

    needs: tuple[tuple[int, ...], ...]
    max_attempts: tuple[int, ...]
    tolerated: tuple[bool, ...]
    is_run: bool = True

    def children(self, step: int) -> list[int]:
        """Return the steps that need this one."""
        return [child for child, needs in enumerate(self.needs) if step in needs]


def intent(max_attempts: int) -> Plan:
    """Return the plan of an intent."""
    return Plan(((),), (max_attempts,), (False,), is_run=False)


def run(*needs: tuple[int, ...], most: int | tuple[int, ...] = 2, tolerated: tuple[int, ...] = ()) -> Plan:
    """Return the plan of a run; ``most`` is the ``max_attempts`` of all steps, or of each."""
    limits = (most,) * len(needs) if isinstance(most, int) else most
    return Plan(needs, limits, tuple(step in tolerated for step in range(len(needs))))


class Step(NamedTuple):
    """A row of ``steps``; the token counts how often its ``seq`` was renewed."""

    state: str
    unmet: int
    spoilt: bool = False
    attempt: int = 0
    base: int = 0
    crashes: int = 0
    lone: int | None = None
    started: bool = False
    token: int = 0
    process: int | None = None
    due: bool = False
    reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing but an explicit retry changes it."""
        return self.state in ENDED


class Run(NamedTuple):
    """A row of ``runs``."""

    state: str
    remaining: int
    failed: int = 0
    warnings: int = 0
    reason: str | None = None


class Tables(NamedTuple):
    """All that the database knows."""

    steps: tuple[Step, ...]
    run: Run | None
    fresh: tuple[bool, ...]  # of each process: its last beat is not older than a lease

    @property
    def ended(self) -> bool:
        """Whether all work has come to its end."""
        return all(step.ended for step in self.steps) and (
            self.run is None or self.run.state not in {"running", "paused"}
        )


class Told(NamedTuple):
    """One attempt's outcome, as a process brings it to the database."""

    step: int
    token: int
    outcome: str = "completed"
    later: bool = False  # with a delay


def submitted(plan: Plan, processes: int) -> Tables:
    """Return the tables right after the submit."""
    steps = tuple(Step("blocked" if needs else "available", len(needs)) for needs in plan.needs)
    return Tables(steps, Run("running", len(steps)) if plan.is_run else None, (True,) * processes)


def ended_badly(plan: Plan, number: int, step: Step) -> bool:
    """Return whether what needs this step cannot run."""
    return (
        step.state == "cancelled"
        or (step.state == "discarded" and (not plan.tolerated[number] or step.reason == "aborted"))
        or (step.state == "skipped" and step.reason != "condition")
    )
