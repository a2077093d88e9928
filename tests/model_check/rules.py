"""What the functions of the protocol do to the tables. Each is one transaction.

The same rules are searched exhaustively beside the model of a fleet (fleet.py) and judge what the SQL
functions themselves did (replay.py). Wrong ones, to see that the search finds them, are in mutants.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model_check.tables import ENDED, Plan, Run, Step, Tables, Told, ended_badly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GOOD, TOLERATED, BAD, UPSTREAM, NOT_ENDED = 0, 1, 2, 3, -1
GIVEN_BACK = frozenset({"snoozed", "released", "returned"})
CRASHES = frozenset({"crashed", "suspected", "crashed_alone"})
LONE_CRASHES = 3


class NotPossible(Exception):  # noqa: N818 - an answer of the protocol, by its SQLSTATE
    """The protocol refuses, with this SQLSTATE."""


class Rules:
    """The transition relation of the tables."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.children = [plan.children(step) for step in range(len(plan.needs))]

    # claim_leases, mark_started

    def claim(self, tables: Tables, process: int, steps: Iterable[int]) -> Tables:
        """Give these available steps to a process, which has beaten."""
        for number in steps:
            step = tables.steps[number]
            assert step.state == "available"
            tables = put(
                tables,
                number,
                step._replace(
                    state="running", attempt=step.attempt + 1, process=process, started=False, reason=None
                ),
            )
        return tables

    def stands(self, step: Step, token: int) -> bool:
        """Return whether a lease stands: the fence."""
        return step.state == "running" and step.token == token

    def mark(self, tables: Tables, leases: Iterable[tuple[int, int]]) -> tuple[Tables, list[tuple[int, int]]]:
        """Record the start of attempts; return what still stands."""
        standing = [lease for lease in leases if self.stands(tables.steps[lease[0]], lease[1])]
        for number, _ in standing:
            tables = put(tables, number, tables.steps[number]._replace(started=True))
        return tables, standing

    # finish_leases, finish_steps

    def finish(self, tables: Tables, batch: Sequence[Told]) -> tuple[Tables, list[tuple[int, int]]]:
        """Write down outcomes, and what follows from them; return the refused tokens."""
        tables, ends, aborted, refused = self.write(tables, batch)
        tables = self.settle(tables, ends)
        if aborted:
            tables = self.stop(tables, "failed", "skipped", "aborted")
        return tables, refused

    def write(self, tables: Tables, batch: Sequence[Told]) -> tuple[Tables, list, bool, list]:
        """Write the rows of the attempts themselves."""
        accepted, refused, ends = {}, [], []
        for told in batch:
            lease = (told.step, told.token)
            if lease in accepted or not self.stands(tables.steps[told.step], told.token):
                refused.append(lease)
            else:
                accepted[lease] = told
        for told in accepted.values():
            step, end = self.outcome(told.step, tables.steps[told.step], told)
            tables = put(tables, told.step, step)
            if end != NOT_ENDED:
                ends.append((told.step, end))
        return tables, ends, any(told.outcome == "aborted" for told in accepted.values()), refused

    def outcome(self, number: int, step: Step, told: Told) -> tuple[Step, int]:
        """Return the row after an attempt, and how the step ended by it."""
        outcome, most, reason = told.outcome, self.plan.max_attempts[number], None
        crash, lone = outcome in CRASHES, step.lone
        if most == 1 and outcome in {"released", "crashed", "suspected"}:
            outcome, reason = ("discarded", "interrupted") if step.started else ("released", None)
        elif crash and outcome != "crashed_alone" and lone is not None and not step.started:
            outcome = "released"
        elif crash:
            reason = "crashed"
            if outcome == "crashed_alone" or lone is not None:
                lone = (lone or 0) + 1
            elif outcome == "suspected" or step.crashes > 0:
                lone = 0
            guilty = (lone or 0) >= LONE_CRASHES or most == 1
            outcome = "discarded" if guilty else "crashed"
        elif outcome == "retry" and step.attempt - step.base - step.crashes >= most:
            outcome, reason = "discarded", "exhausted"
        step = step._replace(process=None, started=False)
        if outcome in {"completed", "skipped"}:
            return step._replace(state=outcome, reason="condition" if outcome == "skipped" else None), GOOD
        if outcome in {"discarded", "aborted"}:
            tolerated = self.plan.tolerated[number] and outcome != "aborted"
            return step._replace(
                state="discarded", reason=reason or outcome, crashes=step.crashes + crash, lone=lone
            ), (TOLERATED if tolerated else BAD)
        return self.again(step, outcome, lone, later=told.later), NOT_ENDED

    def again(self, step: Step, outcome: str, lone: int | None, *, later: bool) -> Step:
        """Return the row of a step that waits for its next attempt."""
        return step._replace(
            state="scheduled" if later else "available",
            attempt=step.attempt - (outcome in GIVEN_BACK),
            crashes=step.crashes + (outcome == "crashed"),
            lone=lone,
            reason=outcome if outcome not in {"released", "returned"} else None,
            token=step.token + 1,
            due=False,
        )

    # settle_steps, count_ended

    def settle(self, tables: Tables, ends: Sequence[tuple[int, int]]) -> Tables:
        """Take ended steps off the counters of what needs them, transitively, and of the run."""
        if tables.run is None or not ends:
            return tables
        all_ends, latest = list(ends), list(ends)
        while latest:
            hits: dict[int, list[int]] = {}
            for number, end in latest:
                for child in self.children[number]:
                    hits.setdefault(child, []).append(end)
            latest = []
            for child, hit in hits.items():
                if tables.steps[child].state != "blocked":
                    continue
                step = self.decide(tables.steps[child], len(hit), sum(end >= BAD for end in hit))
                tables = put(tables, child, step)
                if step.ended:
                    latest.append((child, UPSTREAM))
            all_ends += latest
        return tables._replace(run=self.count(tables.run, [end for _, end in all_ends]))

    def decide(self, step: Step, ended: int, bad: int) -> Step:
        """Return the row of a blocked step of which so many needs have ended, so many of them badly."""
        unmet, spoilt = step.unmet - ended, step.spoilt or bad > 0
        step = step._replace(unmet=unmet, spoilt=spoilt)
        if unmet > 0:
            return step
        if spoilt:
            return step._replace(state="skipped", reason="upstream")
        return step._replace(state="available", token=step.token + 1)

    def count(self, run: Run, ends: Sequence[int]) -> Run:
        """Return the run after these ends."""
        if run.state not in {"running", "paused"}:
            return run
        run = run._replace(
            remaining=run.remaining - len(ends),
            failed=run.failed + ends.count(BAD),
            warnings=run.warnings + ends.count(TOLERATED),
        )
        if run.remaining > 0:
            return run
        return run._replace(state="failed" if run.failed else "completed")

    # rescue, reconcile, promote

    def dead(self, tables: Tables) -> list[tuple[int, int]]:
        """Return the leases of processes that do not beat."""
        return [
            (number, step.token)
            for number, step in enumerate(tables.steps)
            if step.state == "running" and (step.process == -1 or not tables.fresh[step.process])
        ]

    def rescue(self, tables: Tables, leases: Iterable[tuple[int, int]]) -> Tables:
        """Take these leases away, as far as they stand."""
        return self.finish(tables, [Told(*lease, "crashed") for lease in leases])[0]

    def reconcile(
        self, tables: Tables, process: int, held: Sequence[tuple[int, int]]
    ) -> tuple[Tables, list[tuple[int, int]]]:
        """Give back what a process has without knowing; return what it has lost."""
        unknown = [
            Told(number, step.token, "released")
            for number, step in enumerate(tables.steps)
            if step.state == "running" and step.process == process and (number, step.token) not in held
        ]
        if unknown:
            tables = self.finish(tables, unknown)[0]
        return tables, [lease for lease in held if not self.stands(tables.steps[lease[0]], lease[1])]

    def promote(self, tables: Tables) -> tuple[Tables, int]:
        """Make what is due available; return how many that were."""
        due = [number for number, step in enumerate(tables.steps) if step.state == "scheduled" and step.due]
        for number in due:
            step = tables.steps[number]
            tables = put(tables, number, step._replace(state="available", token=step.token + 1, due=False))
        return tables, len(due)

    # cancel, retry

    def stop(self, tables: Tables, ending: str, state: str, reason: str) -> Tables:
        """End whatever has not ended: what runs is cancelled, the rest gets the state."""
        steps = tuple(
            step
            if step.ended
            else step._replace(
                state="cancelled" if step.state == "running" else state,
                process=None,
                started=False,
                due=False,
                reason=reason,
            )
            for step in tables.steps
        )
        run = tables.run
        if run is not None:
            failed = max(run.failed, int(ending == "failed"))
            run = run._replace(state=ending, remaining=0, failed=failed, reason=reason)
        return tables._replace(steps=steps, run=run)

    def cancel(self, tables: Tables) -> tuple[Tables, str]:
        """Cancel the run or the intent; return the state it was in."""
        old = tables.run.state if tables.run else tables.steps[0].state
        if old in ENDED or old == "failed":
            raise NotPossible("TR004")
        return self.stop(tables, "cancelled", "cancelled", "cancelled"), old

    def retry(self, tables: Tables, start: int | None = None) -> Tables:
        """Put ended work back to work: what ended badly, or one step and all below it."""
        plan, steps, run = self.plan, tables.steps, tables.run
        if run is None:
            if steps[0].state not in {"discarded", "cancelled"}:
                raise NotPossible("TR004")
            return self.start_over(tables, {0})
        if run.state == "running" or (start is None and run.state == "completed"):
            raise NotPossible("TR004")
        again = (
            {start}
            if start is not None
            else {number for number, step in enumerate(steps) if ended_badly(plan, number, step)}
        )
        latest = set(again)
        while latest:
            below = {child for number in latest for child in self.children[number]} - again
            latest = {child for child in below if start is not None or steps[child].reason == "condition"}
            again |= latest
        if not again:
            raise NotPossible("TR004")
        above = {need for number in again for need in plan.needs[number]} - again
        if start is not None and any(ended_badly(plan, need, steps[need]) for need in above):
            raise NotPossible("TR004")
        tables = self.start_over(tables, again)
        standing = [(number, step) for number, step in enumerate(tables.steps) if step.ended]
        failed = sum(ended_badly(plan, *found) and found[1].reason != "upstream" for found in standing)
        tolerated = sum(
            step.state == "discarded" and plan.tolerated[number] and step.reason != "aborted"
            for number, step in standing
        )
        return tables._replace(run=Run("running", len(again), failed, tolerated))

    def start_over(self, tables: Tables, again: set[int]) -> Tables:
        """Reset these steps; those that need another one of them are blocked."""
        for number in again:
            step = tables.steps[number]
            unmet = sum(need in again for need in self.plan.needs[number])
            fresh = Step("blocked" if unmet else "available", unmet, attempt=step.attempt, base=step.attempt)
            tables = put(tables, number, fresh._replace(token=self.renewed(step)))
        return tables

    def renewed(self, step: Step) -> int:
        """Return the token of a step that starts over."""
        return step.token + 1


def put(tables: Tables, number: int, step: Step) -> Tables:
    """Return the tables with another row in this place."""
    steps = tables.steps
    return tables._replace(steps=(*steps[:number], step, *steps[number + 1 :]))
