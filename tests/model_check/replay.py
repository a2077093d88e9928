"""Judges traces of the real SQL functions: the model must allow each answer and change of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model_check.rules import NotPossible, Rules
from tests.model_check.tables import Tables, Told, ended_badly, submitted

if TYPE_CHECKING:
    from tests.model_check.tables import Plan


class Entry(NamedTuple):
    """One call: what was asked, what was answered, and the tables afterwards."""

    asked: tuple
    answer: Any
    tables: Tables
    dead: frozenset[int] = frozenset()  # steps with a dead letter


class Trace(NamedTuple):
    """What was done to one submitted plan."""

    plan: Plan
    entries: tuple[Entry, ...]  # the first one is the submit


class Refused(Exception):  # noqa: N818 - a verdict
    """The model does not allow this entry of a trace."""


def judge(trace: Trace, rules: type[Rules] = Rules) -> None:
    """Follow a trace through the model.

    Raises:
        Refused: an answer, or what became of the tables, is none that the model allows.
    """
    first, *entries = trace.entries
    judged = _Judge(trace.plan, rules(trace.plan))
    tables = submitted(trace.plan, len(first.tables.fresh))
    judged.compare(0, first, tables)
    for number, entry in enumerate(entries, 1):
        name, *given = entry.asked
        try:
            tables, answer = getattr(judged, name)(tables, entry.answer, *given)
        except NotPossible as refusal:
            answer = str(refusal)
        except Refused as refusal:
            raise Refused(f"{number}. {entry.asked}: {refusal}") from None
        if answer != entry.answer:
            raise Refused(f"{number}. {entry.asked} answered {entry.answer!r}, the model {answer!r}")
        judged.compare(number, entry, tables)


class _Judge:
    """What the model says to each operation of a trace: (tables, answer given) -> (tables, answer)."""

    def __init__(self, plan: Plan, rules: Rules) -> None:
        self.plan, self.rules = plan, rules

    def compare(self, number: int, entry: Entry, tables: Tables) -> None:
        found = []
        for step, (was, should) in enumerate(zip(entry.tables.steps, tables.steps, strict=True)):
            found += [
                f"step {step} has {field} {getattr(was, field)!r}, the model {getattr(should, field)!r}"
                for field in was._fields
                if getattr(was, field) != getattr(should, field)
            ]
        if entry.tables.run != tables.run:
            found.append(f"the run is {entry.tables.run}, in the model {tables.run}")
        if entry.tables.fresh != tables.fresh:
            found.append(f"processes that beat: {entry.tables.fresh}, in the model {tables.fresh}")
        dead = frozenset(
            number
            for number, step in enumerate(tables.steps)
            if step.state == "discarded" and ended_badly(self.plan, number, step)
        )
        if entry.dead != dead:
            found.append(f"dead letters of {sorted(entry.dead)}, in the model of {sorted(dead)}")
        if found:
            raise Refused(f"{number}. {entry.asked}: {'; '.join(found)}")

    def claim(self, tables, answer, process, most, *, aside=()):
        """Any available steps may be claimed, but as many as there are."""
        if not tables.fresh[process]:
            return tables, ()
        available = {
            number
            for number, step in enumerate(tables.steps)
            if step.state == "available" and number not in aside
        }
        chosen = [claimed[0] for claimed in answer]
        if not set(chosen) <= available or len(set(chosen)) != len(chosen):
            raise Refused(f"claimed {chosen}, available are {sorted(available)}")
        if len(chosen) != min(most, len(available)):
            raise Refused(f"claimed {len(chosen)} of {len(available)} available steps, asked for {most}")
        tables = self.rules.claim(tables, process, chosen)
        return tables, tuple(self._lease(tables, number) for number in chosen)

    def _lease(self, tables, number):
        step = tables.steps[number]
        return number, step.token, step.attempt, self.plan.max_attempts[number], step.lone

    def mark(self, tables, answer, leases):
        tables, standing = self.rules.mark(tables, leases)
        return tables, tuple(sorted(standing))

    def finish(self, tables, answer, process, batch):
        tables, refused = self.rules.finish(tables, [Told(*told) for told in batch])
        return tables, tuple(sorted(refused))

    def rescue(self, tables, answer):
        dead = self.rules.dead(tables)
        return self.rules.rescue(tables, dead), len(dead)

    def reconcile(self, tables, answer, process, held):
        tables, lost = self.rules.reconcile(tables, process, held)
        return tables, tuple(sorted(lost))

    def promote(self, tables, answer):
        return self.rules.promote(tables)

    def beat(self, tables, answer, process):
        return _fresh(tables, process, beats=True), True

    def fall_silent(self, tables, answer, process):
        return _fresh(tables, process, beats=False), None

    def time_passes(self, tables, answer):
        """All that is scheduled becomes due, and all beats are too old."""
        steps = tuple(step._replace(due=step.state == "scheduled") for step in tables.steps)
        return tables._replace(steps=steps, fresh=(False,) * len(tables.fresh)), None

    def cancel(self, tables, answer):
        return self.rules.cancel(tables)

    def retry(self, tables, answer, start):
        tables = self.rules.retry(tables, start)
        return tables, tables.run.state if tables.run else tables.steps[0].state

    def requeue(self, tables, answer, step):
        row = tables.steps[step]
        if row.state != "discarded" or not ended_badly(self.plan, step, row):
            raise NotPossible("TR003")
        return self.retry(tables, answer, step)

    # the functions for other languages

    def public_claim(self, tables, answer, process, most):
        """Beats; hands out a suspect alone; rescues where no worker lives, when it came back short."""
        tables = _fresh(tables, process, beats=True)
        (step,) = tables.steps
        if step.state == "running" and step.process == process and step.lone is not None:
            return tables, ()
        holds = step.state == "running" and step.process == process
        if step.state == "available" and step.lone is not None and not holds:
            tables = self.rules.claim(tables, process, [0])
            # its start is recorded with the claim
            tables = tables._replace(steps=(tables.steps[0]._replace(started=True),))
            return tables, (self._lease(tables, 0)[:4],)
        tables, _ = self.rules.promote(tables)
        aside = {0} if tables.steps[0].lone is not None else ()
        tables, given = self.claim(tables, answer, process, most, aside=aside)
        if given and self.plan.max_attempts[0] == 1:
            tables = tables._replace(steps=(tables.steps[0]._replace(started=True),))
        if len(given) < most:
            tables = self.rules.rescue(tables, self.rules.dead(tables))
        return tables, tuple(lease[:4] for lease in given)

    def public_finish(self, tables, answer, process, token, outcome, later):
        tables, refused = self.rules.finish(tables, [Told(0, token, outcome, later)])
        return tables, not refused

    def public_heartbeat(self, tables, answer, process, token):
        return _fresh(tables, process, beats=True), self.rules.stands(tables.steps[0], token)


def _fresh(tables, process, *, beats):
    fresh = tables.fresh
    return tables._replace(fresh=(*fresh[:process], beats, *fresh[process + 1 :]))
