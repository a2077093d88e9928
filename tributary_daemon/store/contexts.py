"""What a claimed step may read beyond its payload: its run, its revision's plan, results of its needs."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from tributary_daemon.model.control import FAN_NAME, WORKFLOW_NAME, Flag, is_asked, is_undo, undone
from tributary_daemon.store import context_queries as sql
from tributary_daemon.store import places
from tributary_daemon.store.context_rows import Rows
from tributary_daemon.store.items import first_cause, undone_item
from tributary_daemon.store.plans import Plan, child_plan, read_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tributary_daemon.model.caching import Claim
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection

_KEPT_RUNS: Final = 2_000
_KEPT_INPUTS: Final = 16 * 1024 * 1024  # bytes of JSON; a process holds several times as much of it
_KEPT_PLANS: Final = 200
_KEPT_TEMPLATES: Final = 500
AGGREGATE: Final = '{"aggregate": true}'
"""Payload of the step that aggregates the items of a fan-out."""


class Wanted(Protocol):
    """A claimed step."""

    @property
    def run_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def step_id(self) -> str | None: ...
    @property
    def flags(self) -> int: ...
    @property
    def payload(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What never changes about a run."""

    run_id: str
    name: str
    plan: Plan
    inputs: Mapping[str, Any]
    run: Mapping[str, Any]
    size: int = 0  # bytes of the inputs as JSON


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step's surroundings.

    Attributes:
        facts: of its run; of a step of a hook with the state and error that its run has come to.
        steps: those it may read: ``{id: {state, attempt, result}}``, with ``items`` where they are read.
        progress: what its earlier attempts reported.
        step: as the plan has it; an item has that of its fan-out.
        template: the ``with`` of an item, whose payload is the item itself.
        good: all its needs are good.
        failed: a step above was discarded and not tolerated; for a hook, the run has failed.
        cancelled: its run is being cancelled.
        items: of a fan-out that gathers them.
        cause: the error of the item that failed first.
        aggregate: (state, result) of the step that has aggregated them.
        child: (revision id, name, plan) of the workflow that it starts.
        ended_child: (result, claim) of the child run that has completed, and whose result is to be kept.
        secrets: name -> value, read when an expression asks for one.
    """

    facts: RunFacts
    steps: Mapping[str, Mapping[str, Any]]
    progress: Any = None
    step: Mapping[str, Any] = field(default_factory=dict)
    template: Any = None
    good: bool = True
    failed: bool = False
    cancelled: bool = False
    items: Sequence[Mapping[str, Any]] = ()
    cause: Mapping[str, Any] | None = None
    aggregate: tuple[str, Any] | None = None
    child: tuple[str, str, Plan] | None = None
    ended_child: tuple[Any, Claim] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)


class Contexts:
    """Loads surroundings in batches; runs and plans never change, so they are kept. Not thread-safe.

    Args:
        keys: with which what is sealed is opened; None for none.
    """

    def __init__(self, keys: Ring | None = None) -> None:
        self.keys = keys
        self._rows = Rows(keys)
        self._runs: OrderedDict[str, RunFacts] = OrderedDict()
        self._inputs = 0  # bytes of the inputs of all of them
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._templates: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def load(
        self, connection: Connection, shard: int, wanted: Sequence[Wanted], *, progress: bool = False
    ) -> dict[tuple[str, int], StepFacts]:
        """Return the surroundings of steps by (run_id, ordinal)."""
        self._load_runs(connection, shard, {item.run_id for item in wanted})
        numbers = [self._number(item) for item in wanted]
        pairs: list[tuple[str, int]] = []
        fans: list[tuple[str, int]] = []
        for item, number in zip(wanted, numbers, strict=True):
            read, with_items = self._runs[item.run_id].plan.reads(number, undo=is_undo(item.flags))
            pairs += [(item.run_id, other) for other in read]
            fans += [(item.run_id, other) for other in with_items]
            if _gathers(item):
                fans.append((item.run_id, number))
        results = self._rows.results(connection, shard, pairs)
        items = self._rows.items(connection, shard, fans) if fans else {}
        failed = self._failed(connection, shard, wanted, numbers)
        details = (
            self._rows.progress(connection, shard, [(item.run_id, item.ordinal) for item in wanted])
            if progress
            else {}
        )
        found: dict[tuple[str, int], StepFacts] = {}
        for item, number in zip(wanted, numbers, strict=True):
            key = (item.run_id, item.ordinal)
            facts = self._runs[item.run_id]
            read, with_items = facts.plan.reads(number, undo=is_undo(item.flags))
            views = dict(results[item.run_id, other][:2] for other in read)
            for other in with_items:
                step_id, view, _ = results[item.run_id, other]
                views[step_id] = {**view, "items": items.get((item.run_id, other), [])}
            needs = () if is_undo(item.flags) else facts.plan.needs.get(number, ())
            found[key] = StepFacts(
                facts,
                views,
                details.get(key),
                facts.plan.steps[number],
                good=all(results[item.run_id, need][2] for need in needs),
                failed=key in failed,
            )
            if item.flags & (Flag.ITEM | Flag.HOOK) or item.name in (FAN_NAME, WORKFLOW_NAME):
                found[key] = self._special(connection, shard, item, number, found[key], items)
        return found

    def load_closing(self, connection: Connection, shard: int, run_id: str) -> StepFacts:
        """Return a run's surroundings for its ``result``: the steps that it reads."""
        self._load_runs(connection, shard, {run_id})
        facts = self._runs[run_id]
        read, with_items = facts.plan.reads(0)
        results = self._rows.results(connection, shard, [(run_id, other) for other in read])
        items = (
            self._rows.items(connection, shard, [(run_id, other) for other in with_items])
            if with_items
            else {}
        )
        views = dict(results[run_id, other][:2] for other in read)
        for other in with_items:
            step_id, view, _ = results[run_id, other]
            views[step_id] = {**view, "items": items.get((run_id, other), [])}
        return StepFacts(facts, views)

    def load_intent(self, connection: Connection, shard: int, run_id: str) -> StepFacts:
        """Return the surroundings of an intent: nothing but the progress of earlier attempts."""
        progress = self._rows.progress(connection, shard, [(run_id, 0)]).get((run_id, 0))
        return StepFacts(RunFacts(run_id, "", Plan({}, {}, {}, None), {}, {}), {}, progress)

    def facts(self, connection: Connection, shard: int, run_id: str) -> RunFacts:
        """Return what never changes about a run."""
        self._load_runs(connection, shard, {run_id})
        return self._runs[run_id]

    def _load_runs(self, connection: Connection, shard: int, run_ids: set[str]) -> None:
        unknown = [run_id for run_id in run_ids if run_id not in self._runs]
        # least recently used go first, and never one that this call is about to read
        for run_id in run_ids - set(unknown):
            self._runs.move_to_end(run_id)
        if not unknown:
            return
        rows = connection.execute(sql.RUNS, (unknown, shard)).fetchall()
        revisions = list({row[1] for row in rows if row[1] not in self._plans})
        if revisions:
            for revision_id, plan in connection.execute(sql.PLANS, (revisions,)).fetchall():
                self._plans[revision_id] = read_plan(plan)
        for run_id, revision_id, name, labels, created_at, run_at, given, parent_id, size, tenant in rows:
            rule = places.payload(run_id, 0, parent=parent_id)
            inputs = self._rows.open(connection, shard, run_id, given, rule, tenant)
            run = {
                "id": run_id,
                "name": name,
                "labels": labels,
                "state": "running",
                "created_at": created_at.isoformat(),
                "started_at": (run_at or created_at).isoformat(),
                "scheduled_for": (run_at or created_at).isoformat(),
                "parent_id": parent_id,
                "error": None,
            }
            self._runs[run_id] = RunFacts(run_id, name, self._plans[revision_id], inputs or {}, run, size)
            self._inputs += size
        while len(self._runs) > len(run_ids) and (
            len(self._runs) > _KEPT_RUNS or self._inputs > _KEPT_INPUTS
        ):
            self._inputs -= self._runs.popitem(last=False)[1].size
        while len(self._plans) > _KEPT_PLANS:
            self._plans.popitem(last=False)

    def _number(self, item: Wanted) -> int:
        """Return a step's ordinal in the plan; items and undos come behind it, and name what they are of."""
        plan = self._runs[item.run_id].plan
        if item.ordinal in plan.steps:
            return item.ordinal
        if plan.function:
            # what a workflow function asks for reads nothing but its payload
            return 1
        step_id = str(item.step_id)
        return plan.ordinals[undone(step_id)[0] if is_undo(item.flags) else step_id]

    def _failed(
        self, connection: Connection, shard: int, wanted: Sequence[Wanted], numbers: Sequence[int]
    ) -> set[tuple[str, int]]:
        """Return those whose condition decides by itself and above which a step failed."""
        rows = [
            (item.run_id, above, item.ordinal)
            for item, number in zip(wanted, numbers, strict=True)
            if item.flags & Flag.DECIDES and item.flags & Flag.CONDITION
            for above in self._runs[item.run_id].plan.above(number)
        ]
        if not rows:
            return set()
        run_ids, ordinals, below = (list(column) for column in zip(*rows, strict=True))
        return set(connection.execute(sql.FAILED, (run_ids, ordinals, below, shard)).fetchall())

    def _special(  # noqa: PLR0917 - what `load` has at hand
        self,
        connection: Connection,
        shard: int,
        item: Wanted,
        number: int,
        found: StepFacts,
        items: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]],
    ) -> StepFacts:
        """Add what only items, hooks, fan-outs and sub-workflows need."""
        if item.flags & Flag.HOOK:
            row = connection.execute(sql.ENDING, (shard, item.run_id)).fetchone()
            ending, error = row if row is not None else (None, None)
            error = self._rows.open(connection, shard, item.run_id, error, places.error(item.run_id))
            facts = replace(found.facts, run={**found.facts.run, "state": ending, "error": error})
            found = replace(
                found, facts=facts, failed=found.failed or ending == "failed", cancelled=ending == "cancelled"
            )
        if is_undo(item.flags) and (key := undone(str(item.step_id))[1]) is not None:
            view = undone_item(connection, shard, item.run_id, str(item.step_id), key, self._rows)
            found = replace(found, steps={**found.steps, **view})
        if item.flags & Flag.ITEM:
            found = replace(found, template=self._template(connection, shard, item.run_id, number))
        if _gathers(item):
            own = items.get((item.run_id, number), [])
            found = replace(found, items=own)
            if any(each["state"] == "discarded" for each in own):
                cause = first_cause(connection, shard, item.run_id, number, self._rows)
                found = replace(found, cause=cause)
            if item.flags & Flag.ITEM:
                seen = {"state": "running", "attempt": 0, "result": None, "items": own}
                found = replace(found, steps={**found.steps, str(item.step_id): seen})
            elif item.flags & Flag.AGGREGATED:
                aggregate = self._rows.aggregate(connection, shard, item.run_id, number)
                found = replace(found, aggregate=aggregate)
        if item.name == WORKFLOW_NAME and item.flags & Flag.EXPANDED:
            ended = self._rows.ended_child(connection, shard, item.run_id, item.ordinal)
            found = replace(found, ended_child=ended)
        if item.name == WORKFLOW_NAME and found.ended_child is None:
            target = json.loads(item.payload) if is_asked(item.flags) else found.step
            found = replace(found, child=child_plan(connection, target["workflow"]))
        return found

    def _template(self, connection: Connection, shard: int, run_id: str, number: int) -> Any:
        key = (run_id, number)
        if key not in self._templates:
            row = connection.execute(sql.TEMPLATES, (shard, run_id, number)).fetchone()
            rule = places.payload(run_id, number)
            self._templates[key] = self._rows.open(connection, shard, run_id, row and row[0], rule)
            while len(self._templates) > _KEPT_TEMPLATES:
                self._templates.popitem(last=False)
        return self._templates[key]


def _gathers(item: Wanted) -> bool:
    """Return whether a step reads the items of its own fan-out."""
    if item.flags & Flag.ITEM:
        return item.payload == AGGREGATE
    return item.name == FAN_NAME and bool(item.flags & Flag.EXPANDED)
