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
SIMPLE_TYPES: Final = tuple(word for word in INPUT_TYPES if word != "choice")
"""Those that say enough by their name."""


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


HOOKS: Final = ("on_success", "on_failure", "on_cancel", "finally")
EXTRAS: Final = (
    "condition",
    "decides",
    "for_each",
    "matrix",
    "key",
    "max_parallel",
    "fail_fast",
    "tolerate",
    "aggregate",
    "workflow",
    "wait",
    "approve",
    "cache",
    "concurrency",
    "undo",
    "hook",
)
"""Fields of a step that stand in a plan only where they are written."""
HEAD_EXTRAS: Final = ("secrets", "env", "timeout", "max_parallel", "fail_fast", "concurrency", "schedule",
                      "preconditions", "keep", "function")  # fmt: skip
"""The same, of a workflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """One step of a workflow.

    Attributes:
        id: as written in the file.
        ordinal: 1-based place in topological order, hooks behind all others; the file's order where needs
            leave it open.
        name: of the handler; ``trib.shell.v1`` for ``run``, ``trib.workflow.v1`` for ``workflow``,
            ``trib.wait.v1`` and ``trib.approve.v1`` for those.
        action: ``task``, ``run``, ``workflow``, ``wait`` or ``approve``.
        needs: ids, written ones first, then those that references imply.
        implied: those of ``needs`` that come from references only.
        with_: JSON value, expressions unresolved; for ``run`` ``{"run": script, "env": {…}}`` and, where
            they are written, ``dir`` and ``shell``; the workflow's ``env`` is not part of it.
        dynamic: ``with_`` holds at least one expression.
        options: those written of ``queue``, ``priority``, ``max_attempts``, ``timeout`` (seconds),
            ``retry`` (fields of ``Retry``); all but ``retry`` may be a text with expressions instead.
        run_after: seconds after the needs are met, or an RFC 3339 time in UTC; or a text with expressions.
        continue_on_error: a discard is tolerated.
        description: for people.
        labels: for people and filters.
        condition: expression of ``if``, without its braces.
        decides: the condition calls a status function, so bad needs do not skip the step by themselves.
        for_each: list of items, or a template that gives one.
        matrix: ``{"axes": {name: list or template}, "include": […], "exclude": […]}``.
        key: template of an item's key.
        max_parallel: items at once.
        fail_fast: whether the items left are cancelled once more than ``tolerate`` failed; None for yes.
        tolerate: how many items may fail: a number, or a share such as ``10%``.
        aggregate: ``{"name": handler, "with": template}``, called with ``steps.ID.items`` at hand; ``with``
            only where it is written.
        workflow: what to run as a child: ``{"name": of a registered one}``, or ``{"name", "hash"}`` of a
            revision that is stored with this one.
        wait: ``{"for": seconds}``, ``{"until": time}`` or ``{"signal", "payload"}``, with ``timeout``,
            ``on_timeout``.
        approve: ``{"prompt", "form", "timeout", "on_timeout"}``.
        cache: ``{"scope", "ttl", "key"}``.
        concurrency: ``{"group": template, "limit", "on_limit"}``.
        undo: ``{"name": handler, "with": template}``, ``with`` only where it is written.
        hook: one of ``HOOKS`` for a step of that hook.
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
    condition: str | None = None
    decides: bool = False
    for_each: Any | None = None
    matrix: dict[str, Any] | None = None
    key: str | None = None
    max_parallel: int | None = None
    fail_fast: bool | None = None
    tolerate: int | str | None = None
    aggregate: dict[str, Any] | None = None
    workflow: dict[str, str] | None = None
    wait: dict[str, Any] | None = None
    approve: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None
    concurrency: dict[str, Any] | None = None
    undo: dict[str, Any] | None = None
    hook: str | None = None

    @property
    def fans_out(self) -> bool:
        """Whether the step runs once per item."""
        return self.for_each is not None or self.matrix is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpec:
    """A whole workflow, checked; nothing in it can still be refused.

    Attributes:
        name: ``user.signup.v1``, or the stem of the file.
        steps: in order of their ordinals; those of hooks last.
        inputs: by name, in the order of the file.
        defaults: options for every step, same shape as ``StepSpec.options``.
        result: JSON value with expressions; None when absent.
        source: the exact text it was loaded from.
        warnings: faults that do not refuse it, by position.
        description: for people.
        labels: for people and filters.
        secrets: names of the secrets that expressions may read.
        env: variables of every shell step: texts, with expressions.
        timeout: seconds for the whole run.
        max_parallel: steps of a run at once.
        fail_fast: the first failure cancels what is left.
        concurrency: as of a step, for whole runs.
        schedule: ``{"cron", "timezone", "overlap", "catchup", "jitter", "inputs"}`` each.
        preconditions: ``{"if": expression, "message": text or None}`` each.
        keep: ``{"days", "runs"}``: retention of finished runs.
        children: workflows that its steps run and that came with it (files, later documents), by name.
        inferred: ids of the steps that were written as ``want``; their graphs depend on more than the source.
        function: it is a workflow function; its types are Python's, and inputs go to it as they are.
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
    secrets: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    max_parallel: int | None = None
    fail_fast: bool = False
    concurrency: dict[str, Any] | None = None
    schedule: tuple[dict[str, Any], ...] = ()
    preconditions: tuple[dict[str, Any], ...] = ()
    keep: dict[str, int] | None = None
    children: dict[str, WorkflowSpec] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()
    function: bool = False

    def plan(self) -> dict[str, Any]:
        """Return the resolved spec as stored with a run: JSON, steps referring to each other by ordinal.

        ``implied``, ``labels`` and ``description`` of a step are left out when empty, and so are ``EXTRAS``
        and ``HEAD_EXTRAS``; children are revisions of their own.
        """
        ordinals = {step.id: step.ordinal for step in self.steps}
        extras = {name: value for name in HEAD_EXTRAS if (value := getattr(self, name))}
        return {
            **{name: list(value) if isinstance(value, tuple) else value for name, value in extras.items()},
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
        extras: dict[str, Any] = {
            name: tuple(plan[name]) if isinstance(plan[name], list) else plan[name]
            for name in HEAD_EXTRAS
            if name in plan
        }
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
            **extras,
        )

    def revision_hash(self) -> str:
        """Return the SHA-256 of the exact source, in hex; of the canonical plan when there is no source.

        The hashes of workflows that came with it count too: other content of a child is another revision. So
        does the plan where graphs were inferred: other handlers make another workflow of the same source.
        """
        text = self.source
        if not text or self.inferred:
            text += json.dumps(self.plan(), sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode())
        for step in self.steps:
            if step.workflow is not None and "hash" in step.workflow:
                digest.update(f"\0{step.workflow['name']}\0{step.workflow['hash']}".encode())
        return digest.hexdigest()

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
    for name in EXTRAS:
        value = getattr(step, name)
        if value is not None and value is not False:
            plain[name] = value
    if step.fail_fast is False:
        plain["fail_fast"] = False
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
        **{name: plain[name] for name in EXTRAS if name in plain},
    )
