"""The stored plan of a revision, as far as the steps of its runs need it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tributary_daemon.spec.mentions import Mentions, mentions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.store.db import Connection

_TEMPLATES = (
    "with",
    "for_each",
    "matrix",
    "key",
    "concurrency",
    "cache",
    "options",
    "run_after",
    "wait",
    "approve",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What steps need of the plan of a revision.

    Attributes:
        steps: ordinal -> step, as `spec.workflow.WorkflowSpec.plan` writes it.
        needs: ordinal -> ordinals of the steps it needs.
        ordinals: step id -> ordinal.
        result: the workflow's ``result`` with its expressions; None without one.
        env: variables of all shell steps, with their expressions.
        secrets: names of the secrets that expressions may read.
        inputs: declarations of inputs, as stored.
        concurrency: group of a run, with its expression.
        function: it is a workflow function: more steps come than are in the plan.
    """

    steps: Mapping[int, Mapping[str, Any]]
    needs: Mapping[int, tuple[int, ...]]
    ordinals: Mapping[str, int]
    result: Any
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    concurrency: Mapping[str, Any] | None = None
    function: bool = False
    _reads: dict[tuple[int, bool], tuple[tuple[int, ...], frozenset[int]]] = field(
        default_factory=dict, compare=False
    )
    _above: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False)

    def reads(self, ordinal: int, *, undo: bool = False) -> tuple[tuple[int, ...], frozenset[int]]:
        """Return which steps a step may read, and which of them with their items.

        Args:
            ordinal: of the step; 0 for the closing step, which reads what ``result`` mentions.
            undo: what undoes the step, and may read it, too.
        """
        if (ordinal, undo) not in self._reads:
            self._reads[ordinal, undo] = self._found(ordinal, undo=undo)
        return self._reads[ordinal, undo]

    def above(self, ordinal: int) -> tuple[int, ...]:
        """Return every step that this one depends on, directly or not."""
        if ordinal not in self._above:
            found: dict[int, None] = {}
            waiting = list(self.needs.get(ordinal, ()))
            while waiting:
                need = waiting.pop()
                if need not in found:
                    found[need] = None
                    waiting.extend(self.needs.get(need, ()))
            self._above[ordinal] = tuple(found)
        return self._above[ordinal]

    def fans_out(self, ordinal: int) -> bool:
        """Return whether a step runs once per item."""
        step = self.steps.get(ordinal, {})
        return "for_each" in step or "matrix" in step

    def _found(self, ordinal: int, *, undo: bool) -> tuple[tuple[int, ...], frozenset[int]]:
        if ordinal == 0:
            read = mentions([self.result])
            own: tuple[int, ...] = ()
        elif undo:
            read = mentions([self.steps[ordinal]["undo"]])
            own = (ordinal,)
        else:
            step = self.steps[ordinal]
            read = _mentioned(step)
            own = self.needs.get(ordinal, ())
        ids = {step_id.lower(): number for step_id, number in self.ordinals.items()}
        if read.everything:
            return tuple(ids.values()), frozenset(filter(self.fans_out, ids.values()))
        named = [ids[step_id] for step_id in sorted(read.steps) if step_id in ids]
        items = frozenset(ids[step_id] for step_id in read.items if step_id in ids)
        return tuple(dict.fromkeys((*own, *named))), frozenset(filter(self.fans_out, items))


def _mentioned(step: Mapping[str, Any]) -> Mentions:
    templates = [step[key] for key in _TEMPLATES if key in step]
    if "aggregate" in step:
        templates.append(step["aggregate"])
    return mentions(templates, [step["condition"]] if "condition" in step else [])


def read_plan(plan: Any) -> Plan:
    """Return the plan of a revision from its stored JSON."""
    value = json.loads(plan) if isinstance(plan, str) else plan
    steps = value["steps"]
    return Plan(
        {step["ordinal"]: step for step in steps},
        {step["ordinal"]: tuple(step.get("needs") or ()) for step in steps},
        {step["id"]: step["ordinal"] for step in steps},
        value.get("result"),
        value.get("env", {}),
        tuple(value.get("secrets", ())),
        value.get("inputs", {}),
        value.get("concurrency"),
        bool(value.get("function")),
    )


def child_plan(connection: Connection, target: Mapping[str, str]) -> tuple[str, str, Plan] | None:
    """Return revision id, name and plan of the workflow that a step starts.

    Args:
        connection: where to look.
        target: ``{"name", "hash"}`` of a revision stored with the parent's, or ``{"name"}`` of what is
            registered now.

    Returns:
        None when there is none.
    """
    if "hash" in target:
        row = connection.execute(
            "select revision_id::text, plan from tributary.revisions where revision_id = left(%s, 32)::uuid",
            (target["hash"],),
        ).fetchone()
    else:
        row = connection.execute(
            "select r.revision_id::text, r.plan from tributary.workflows w"
            " join tributary.revisions r using (revision_id) where w.name = %s",
            (target["name"],),
        ).fetchone()
    return None if row is None else (row[0], target["name"], read_plan(row[1]))
