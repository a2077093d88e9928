"""A checked workflow: immutable values, standard library only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.errors import Problem

PLAN_FORMAT: Final = 1
INPUT_TYPES: Final = (
    "string",
    "integer",
    "number",
    "boolean",
    "date",
    "datetime",
    "choice",
    "list",
    "object",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One declared input.

    Attributes:
        type: one of ``INPUT_TYPES``.
        required: nothing stands in for a missing value.
        has_default: tells a default of null from no default.
        default: JSON value.
        options: the allowed values of a ``choice``.
        min: smallest number, shortest text or list, earliest date.
        max: the opposite of ``min``.
        pattern: regular expression found somewhere in a text.
        items: what a ``list`` holds; None for anything.
        description: for people.
    """

    type: str = "string"
    required: bool = True
    has_default: bool = False
    default: Any = None
    options: tuple[Any, ...] = ()
    min: float | str | None = None
    max: float | str | None = None
    pattern: str | None = None
    items: InputSpec | None = None
    description: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return ``type``, ``required`` and whatever else was written, as stored in a plan."""
        plain: dict[str, Any] = {"type": self.type, "required": self.required}
        if self.has_default:
            plain["default"] = self.default
        for name in ("min", "max", "pattern", "description"):
            if (value := getattr(self, name)) is not None:
                plain[name] = value
        if self.options:
            plain["options"] = list(self.options)
        if self.items is not None:
            plain["items"] = self.items.to_json()
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> InputSpec:
        """Rebuild from ``to_json``."""
        known = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        known["has_default"] = "default" in plain
        known["options"] = tuple(plain.get("options", ()))
        if known.get("items") is not None:
            known["items"] = cls.from_json(plain["items"])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of a workflow.

    Attributes:
        id: as written in the file.
        ordinal: 1-based place in topological order; the file's order where needs leave it open.
        name: of the handler; ``trib.shell.v1`` for ``run``.
        action: ``task`` or ``run``.
        needs: ids, written ones first, then those that references imply.
        implied: those of ``needs`` that come from references only.
        with_: JSON value with its expressions unresolved; for ``run`` ``{"run": script, "env": {…}}``.
        dynamic: ``with_`` holds at least one expression.
        options: those written of ``queue``, ``priority``, ``max_attempts``, ``timeout`` (seconds),
            ``retry`` (fields of ``Retry``).
        run_after: seconds after the needs are met, or an RFC 3339 time in UTC.
        continue_on_error: a discard is tolerated.
        description: for people.
        labels: for people and filters.
    """

    id: str
    ordinal: int
    name: str
    action: str = "task"
    needs: tuple[str, ...] = ()
    implied: frozenset[str] = frozenset()
    with_: Any = field(default_factory=dict)
    dynamic: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    run_after: float | str | None = None
    continue_on_error: bool = False
    description: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpec:
    """A whole workflow, checked; nothing in it can still be refused.

    Attributes:
        name: ``user.signup.v1``, or the stem of the file.
        steps: in order of their ordinals.
        inputs: by name, in the order of the file.
        defaults: options for every step, same shape as ``StepSpec.options``.
        result: JSON value with expressions; None when absent.
        source: the exact text it was loaded from.
        warnings: faults that do not refuse it, by position.
        description: for people.
        labels: for people and filters.
    """

    name: str
    steps: tuple[StepSpec, ...]
    inputs: dict[str, InputSpec] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    result: Any | None = None
    source: str = ""
    warnings: tuple[Problem, ...] = ()
    description: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    def plan(self) -> dict[str, Any]:
        """Return the resolved spec as stored with a run: JSON, steps referring to each other by ordinal.

        ``implied``, ``labels`` and ``description`` of a step are left out when empty.
        """
        ordinals = {step.id: step.ordinal for step in self.steps}
        return {
            "format": PLAN_FORMAT,
            "name": self.name,
            "description": self.description,
            "labels": self.labels,
            "inputs": {name: spec.to_json() for name, spec in self.inputs.items()},
            "defaults": self.defaults,
            "result": self.result,
            "steps": [_step_plan(step, ordinals) for step in self.steps],
        }

    @classmethod
    def from_plan(cls, plan: dict[str, Any], *, source: str = "") -> WorkflowSpec:
        """Rebuild from ``plan``; warnings are not part of it."""
        ids = {step["ordinal"]: step["id"] for step in plan["steps"]}
        return cls(
            name=plan["name"],
            steps=tuple(_step_from_plan(step, ids) for step in plan["steps"]),
            # jsonb orders keys by length, so the order of inputs is not kept
            inputs={name: InputSpec.from_json(spec) for name, spec in plan["inputs"].items()},
            defaults=plan["defaults"],
            result=plan["result"],
            source=source,
            description=plan.get("description"),
            labels=plan["labels"],
        )

    def revision_hash(self) -> str:
        """Return the SHA-256 of the exact source, in hex; of the canonical plan when there is no source."""
        text = self.source or json.dumps(self.plan(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def step(self, step_id: str) -> StepSpec:
        """Return the step of that id.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def _step_plan(step: StepSpec, ordinals: dict[str, int]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": step.id,
        "ordinal": step.ordinal,
        "name": step.name,
        "action": step.action,
        "needs": [ordinals[need] for need in step.needs],
        "with": step.with_,
        "dynamic": step.dynamic,
        "options": step.options,
        "run_after": step.run_after,
        "continue_on_error": step.continue_on_error,
    }
    if step.implied:
        plain["implied"] = _ordered(step.implied, ordinals)
    if step.labels:
        plain["labels"] = step.labels
    if step.description is not None:
        plain["description"] = step.description
    return plain


def _ordered(ids: Iterable[str], ordinals: dict[str, int]) -> list[int]:
    return sorted(ordinals[step_id] for step_id in ids)


def _step_from_plan(plain: dict[str, Any], ids: dict[int, str]) -> StepSpec:
    return StepSpec(
        id=plain["id"],
        ordinal=plain["ordinal"],
        name=plain["name"],
        action=plain["action"],
        needs=tuple(ids[need] for need in plain["needs"]),
        implied=frozenset(ids[need] for need in plain.get("implied", ())),
        with_=plain["with"],
        dynamic=plain["dynamic"],
        options=plain["options"],
        run_after=plain["run_after"],
        continue_on_error=plain["continue_on_error"],
        description=plain.get("description"),
        labels=plain.get("labels", {}),
    )
