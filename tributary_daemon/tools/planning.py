"""What would run, in which order, with which options: a plan, without executing or storing anything."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model import durations
from tributary_daemon.spec.expressions import ExpressionError, compile_expression
from tributary_daemon.spec.expressions.values import truthy
from tributary_daemon.spec.workflow import HOOKS
from tributary_daemon.tools import items, options
from tributary_daemon.tools.graphs import levels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

_WRITTEN: Final = (
    "condition",
    "decides",
    "key",
    "tolerate",
    "aggregate",
    "wait",
    "approve",
    "cache",
    "concurrency",
    "undo",
)
"""Fields of a step that a plan shows as they are."""
_HEAD: Final = (
    "secrets",
    "env",
    "timeout",
    "max_parallel",
    "concurrency",
    "schedule",
    "preconditions",
    "keep",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a plan takes from outside of the file.

    Attributes:
        handlers: options by the name of the handler, of all that could be imported.
        config: options of the configuration.
        given: inputs that were given, checked.
        bounds: the longest duration of children by name, as far as it was worked out.
    """

    handlers: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    bounds: dict[str, float | None] = field(default_factory=dict)

    def inside(self) -> Around:
        """Return the same for a child, whose inputs only the run knows."""
        return Around(handlers=self.handlers, config=self.config, bounds=self.bounds)


def plan_of(spec: WorkflowSpec, around: Around) -> dict[str, Any]:
    """Return the plan of a workflow as a JSON value.

    ``levels`` holds the ids that need nothing of each other; ``critical_path`` the longest chain by number
    of steps; ``longest`` the most seconds that the run takes once every step finds a free slot at once,
    None when something in it has no bound.
    """
    plan = _plan(spec, around, known=spec.children, above=())
    children = _all_children(spec)
    inner = around.inside()
    plan["children"] = {
        name: _plan(child, inner, known={**spec.children, **child.children}, above=(spec.name,))
        for name, child in children.items()
    }
    return plan


def _all_children(spec: WorkflowSpec) -> dict[str, WorkflowSpec]:
    found: dict[str, WorkflowSpec] = {}
    waiting = [spec]
    while waiting:
        for name, child in waiting.pop().children.items():
            if name not in found:
                found[name] = child
                waiting.append(child)
    return found


def _plan(
    spec: WorkflowSpec, around: Around, *, known: Mapping[str, WorkflowSpec], above: tuple[str, ...]
) -> dict[str, Any]:
    inputs = _inputs(spec, around.given)
    values = {name: each["value"] for name, each in inputs.items() if each["from"] is not None}
    depth = levels(spec.steps)
    steps = [
        _step(step, depth[step.id], spec, around, values, known=known, above=above) for step in spec.steps
    ]
    by_id = {step["id"]: step for step in steps}
    own = [step for step in spec.steps if step.hook is None]
    total = _longest_run(own, by_id)
    if spec.timeout is not None:
        total = spec.timeout if total is None else min(total, spec.timeout)
    path = _longest_chain(own)
    bounds = [by_id[step_id]["longest"] for step_id in path]
    extras = {name: _plain(value) for name in _HEAD if (value := getattr(spec, name))}
    return {
        "name": spec.name,
        "description": spec.description,
        "inputs": inputs,
        **extras,
        "fail_fast": spec.fail_fast,
        "steps": steps,
        "levels": _grouped(own, depth),
        "critical_path": {
            "steps": path,
            "length": len(path),
            "longest": None if None in bounds else sum(bounds),
        },
        "longest": total,
        "hooks": {
            hook: _grouped(members, depth)
            for hook in HOOKS
            if (members := [step for step in spec.steps if step.hook == hook])
        },
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _inputs(spec: WorkflowSpec, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, declared in spec.inputs.items():
        source = "given" if name in given else "default" if declared.has_default else None
        if source is None and not declared.required:
            source = "left out"
        value = given.get(name) if source == "given" else declared.default
        found[name] = {
            "type": declared.type,
            "required": declared.required,
            "value": value,
            "from": source,
        }
    return found


def _step(
    step: StepSpec,
    level: int,
    spec: WorkflowSpec,
    around: Around,
    inputs: Mapping[str, Any],
    *,
    known: Mapping[str, WorkflowSpec],
    above: tuple[str, ...],
) -> dict[str, Any]:
    handler = around.handlers.get(step.name)
    chosen = options.resolved(step, handler=handler or {}, defaults=spec.defaults, config=around.config)
    plan: dict[str, Any] = {
        "id": step.id,
        "ordinal": step.ordinal,
        "level": level,
        "action": step.action,
        "name": step.name,
        "handler": "found" if handler is not None else "not imported",
        "needs": list(step.needs),
        "implied": [need for need in step.needs if need in step.implied],
        "options": chosen,
    }
    if step.action != "task":
        # what the engine itself does needs no import
        plan.pop("handler")
    if step.hook is not None:
        plan["hook"] = step.hook
    plan.update({name: value for name in _WRITTEN if (value := getattr(step, name))})
    if step.condition is not None:
        plan["holds"] = decided(step.condition, inputs)
    if step.fans_out:
        plan["items"] = _fan_out(step, inputs)
    if step.workflow is not None:
        plan["workflow"] = {**step.workflow, "here": step.workflow["name"] in known}
    if step.run_after is not None:
        plan["run_after"] = step.run_after
    if step.continue_on_error:
        plan["continue_on_error"] = True
    plan["longest"] = _longest_step(step, chosen, plan.get("items"), around, known=known, above=above)
    return plan


def decided(condition: str, inputs: Mapping[str, Any]) -> bool | None:
    """Return whether a condition holds, as far as that follows from the inputs alone."""
    if not items.follows(condition, inputs) or "(" in condition:
        # a call may be a status function, which only the run can answer
        return None
    try:
        return truthy(compile_expression(condition).evaluate({"inputs": dict(inputs)}))
    except ExpressionError:
        return None


def _fan_out(step: StepSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "by": "matrix" if step.matrix is not None else "for_each",
        "count": items.count(step, inputs),
        "max_parallel": step.max_parallel,
        "fail_fast": step.fail_fast is not False,
    }


def _longest_step(
    step: StepSpec,
    chosen: Mapping[str, Mapping[str, Any]],
    fan_out: Mapping[str, Any] | None,
    around: Around,
    *,
    known: Mapping[str, WorkflowSpec],
    above: tuple[str, ...],
) -> float | None:
    match step.action:
        case "wait":
            one = _longest_wait(step.wait or {})
        case "approve":
            one = _seconds((step.approve or {}).get("timeout"))
        case "workflow":
            one = options.longest(chosen)
            child = known.get(step.workflow["name"]) if step.workflow else None
            if one is None and child is not None and chosen["max_attempts"]["value"] == 1:
                one = _longest_child(child, around, known, above)
        case _:
            one = options.longest(chosen)
    if one is None:
        return None
    if fan_out is not None:
        if fan_out["count"] is None:
            return None
        at_once = fan_out["max_parallel"] or fan_out["count"] or 1
        one *= math.ceil(fan_out["count"] / at_once)
    if step.run_after is None:
        return one
    later = _seconds(step.run_after)
    return None if later is None else one + later


def _longest_child(
    child: WorkflowSpec, around: Around, known: Mapping[str, WorkflowSpec], above: tuple[str, ...]
) -> float | None:
    if child.name in above:
        return None
    if child.name not in around.bounds:
        plan = _plan(child, around.inside(), known={**known, **child.children}, above=(*above, child.name))
        around.bounds[child.name] = plan["longest"]
    return around.bounds[child.name]


def _longest_wait(wait: Mapping[str, Any]) -> float | None:
    if "for" in wait:
        return _seconds(wait["for"])
    return _seconds(wait.get("timeout"))


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _grouped(steps: Iterable[StepSpec], depth: Mapping[str, int]) -> list[list[str]]:
    found: dict[int, list[str]] = {}
    for step in steps:
        found.setdefault(depth[step.id], []).append(step.id)
    return [members for _, members in sorted(found.items())]


def _longest_chain(steps: Sequence[StepSpec]) -> list[str]:
    """Return the ids of the longest chain of needs, the first of equal ones."""
    length: dict[str, int] = {}
    before: dict[str, str | None] = {}
    for step in steps:
        best = max((need for need in step.needs if need in length), key=length.__getitem__, default=None)
        length[step.id] = 1 + (length[best] if best is not None else 0)
        before[step.id] = best
    at: str | None = max(length, key=length.__getitem__, default=None)
    path: list[str] = []
    while at is not None:
        path.append(at)
        at = before[at]
    return path[::-1]


def _longest_run(steps: Sequence[StepSpec], by_id: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return the most seconds from the first step to the last; None when a step has no bound."""
    end: dict[str, float] = {}
    for step in steps:
        own = by_id[step.id]["longest"]
        if own is None:
            return None
        end[step.id] = own + max((end[need] for need in step.needs if need in end), default=0.0)
    return max(end.values(), default=0.0)


def bound_text(seconds: float | None) -> str:
    """Return a bound as people read it."""
    return "no bound" if seconds is None else f"at most {durations.text(seconds)}"
