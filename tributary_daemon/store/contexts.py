"""What a claimed step may read beyond its payload: its run, its revision's plan, results of its needs."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.store.db import Connection

_RUNS: Final = """
    select r.run_id::text, r.revision_id::text, r.name, r.labels, r.created_at, r.run_at, p.payload
    from unnest(%s::uuid[]) as u(run_id)
    cross join lateral (
        select * from tributary.runs k where k.shard = %s::smallint and k.run_id = u.run_id offset 0
    ) as r
    left join tributary.payloads p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
"""
_PLANS: Final = "select revision_id::text, plan from tributary.revisions where revision_id = any (%s::uuid[])"
_RESULTS: Final = """
    select s.run_id::text, s.ordinal, s.step_id, s.state::text, s.attempt, s.result
    from unnest(%s::uuid[], %s::int[]) as u(run_id, ordinal)
    cross join lateral (
        select * from tributary.steps k
        where k.shard = %s::smallint and k.run_id = u.run_id and k.ordinal = u.ordinal offset 0
    ) as s
"""
_PROGRESS: Final = """
    select p.run_id::text, p.ordinal, p.details
    from unnest(%s::uuid[], %s::int[]) as u(run_id, ordinal)
    join tributary.progress p on p.shard = %s::smallint and p.run_id = u.run_id and p.ordinal = u.ordinal
"""
_KEPT_RUNS: Final = 2_000
_KEPT_PLANS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What steps need of the plan of a revision.

    Attributes:
        needs: ordinal -> ordinals of the steps it needs.
        ordinals: step id -> ordinal.
        result: the workflow's ``result`` with its expressions; None without one.
    """

    needs: Mapping[int, tuple[int, ...]]
    ordinals: Mapping[str, int]
    result: Any


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What never changes about a run."""

    run_id: str
    name: str
    plan: Plan
    inputs: Mapping[str, Any]
    run: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step's surroundings: its run, its needs as ``{id: {state, attempt, result}}``, earlier progress."""

    facts: RunFacts
    steps: Mapping[str, Mapping[str, Any]]
    progress: Any = None


class Contexts:
    """Loads surroundings in batches; runs and plans never change, so they are kept. Not thread-safe."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RunFacts] = OrderedDict()
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    def load(
        self, connection: Connection, shard: int, wanted: Sequence[tuple[str, int]], *, progress: bool = False
    ) -> dict[tuple[str, int], StepFacts]:
        """Return the surroundings of steps (run_id, ordinal) with the results of what they need."""
        self._load_runs(connection, shard, {run_id for run_id, _ in wanted})
        pairs = [
            (run_id, need)
            for run_id, ordinal in wanted
            for need in self._runs[run_id].plan.needs.get(ordinal, ())
        ]
        results = self._results(connection, shard, pairs)
        details = _progress(connection, shard, wanted) if progress else {}
        return {
            (run_id, ordinal): StepFacts(
                self._runs[run_id],
                dict(results[run_id, need] for need in self._runs[run_id].plan.needs.get(ordinal, ())),
                details.get((run_id, ordinal)),
            )
            for run_id, ordinal in wanted
        }

    def load_closing(
        self, connection: Connection, shard: int, run_id: str, ids: Iterable[str] | None
    ) -> StepFacts:
        """Return a run's surroundings for its ``result``: the steps of these ids, all when None."""
        self._load_runs(connection, shard, {run_id})
        facts = self._runs[run_id]
        names = facts.plan.ordinals if ids is None else ids
        pairs = [(run_id, facts.plan.ordinals[name]) for name in names if name in facts.plan.ordinals]
        return StepFacts(facts, dict(self._results(connection, shard, pairs).values()))

    def load_intent(self, connection: Connection, shard: int, run_id: str) -> StepFacts:
        """Return the surroundings of an intent: nothing but the progress of earlier attempts."""
        progress = _progress(connection, shard, [(run_id, 0)]).get((run_id, 0))
        return StepFacts(RunFacts(run_id, "", Plan({}, {}, None), {}, {}), {}, progress)

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
        rows = connection.execute(_RUNS, (unknown, shard)).fetchall()
        revisions = list({row[1] for row in rows if row[1] not in self._plans})
        if revisions:
            for revision_id, plan in connection.execute(_PLANS, (revisions,)).fetchall():
                self._plans[revision_id] = _plan(plan)
        for run_id, revision_id, name, labels, created_at, run_at, inputs in rows:
            run = {
                "id": run_id,
                "name": name,
                "labels": labels,
                "state": "running",
                "created_at": created_at.isoformat(),
                "scheduled_for": (run_at or created_at).isoformat(),
            }
            self._runs[run_id] = RunFacts(run_id, name, self._plans[revision_id], inputs or {}, run)
        for kept, limit in ((self._runs, max(_KEPT_RUNS, len(run_ids))), (self._plans, _KEPT_PLANS)):
            while len(kept) > limit:
                kept.popitem(last=False)

    def _results(
        self, connection: Connection, shard: int, pairs: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], tuple[str, Mapping[str, Any]]]:
        if not pairs:
            return {}
        wanted = list(dict.fromkeys(pairs))
        rows = connection.execute(
            _RESULTS, ([run_id for run_id, _ in wanted], [ordinal for _, ordinal in wanted], shard)
        ).fetchall()
        return {
            (run_id, ordinal): (step_id, {"state": state, "attempt": attempt, "result": result})
            for run_id, ordinal, step_id, state, attempt, result in rows
        }


def _progress(
    connection: Connection, shard: int, wanted: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Any]:
    rows = connection.execute(
        _PROGRESS, ([run_id for run_id, _ in wanted], [ordinal for _, ordinal in wanted], shard)
    ).fetchall()
    return {(run_id, ordinal): details for run_id, ordinal, details in rows}


def _plan(plan: Any) -> Plan:
    value = json.loads(plan) if isinstance(plan, str) else plan
    steps = value["steps"]
    return Plan(
        {step["ordinal"]: tuple(step.get("needs") or ()) for step in steps},
        {step["id"]: step["ordinal"] for step in steps},
        value.get("result"),
    )
