"""What a workflow demands of a run that is to be recorded: preconditions, the name of its group."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec
from tributary_daemon.engine.grouping import group_of
from tributary_daemon.errors import InvalidInput, PreconditionFailed
from tributary_daemon.spec.expressions import ExpressionError, compile_expression, is_dynamic, resolve
from tributary_daemon.spec.expressions.values import truthy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tributary_daemon.spec.workflow import WorkflowSpec

_SHOWN: Final = 60


def require(
    preconditions: Iterable[Mapping[str, Any]], *, inputs: Mapping[str, Any], run: Mapping[str, Any]
) -> None:
    """Evaluate all preconditions of a workflow against what a run of it would see.

    Args:
        preconditions: as `WorkflowSpec.preconditions`.
        inputs: checked, with their defaults.
        run: the context ``run``; see `new_run`.

    Raises:
        PreconditionFailed: names every one that does not hold, with the values it looked at.
    """
    contexts = {"inputs": inputs, "run": run}
    faults = [fault for given in preconditions if (fault := _fault(given, contexts)) is not None]
    if faults:
        raise PreconditionFailed(
            "\n".join(faults), hint="nothing was stored; submit it again when this holds"
        )


def demanded(spec: WorkflowSpec, *, inputs: Mapping[str, Any], run: Mapping[str, Any]) -> str | None:
    """Ask what a workflow demands of a run; return the name of its group where an expression gives it.

    Raises:
        PreconditionFailed: names all that does not hold.
        InvalidInput: its concurrency group cannot be told.
    """
    require(spec.preconditions, inputs=inputs, run=run)
    if spec.concurrency is None or not is_dynamic(spec.concurrency["group"]):
        return None
    try:
        return group_of(spec.concurrency, {"inputs": inputs, "run": run}).name
    except ExpressionError as error:
        raise InvalidInput(f"concurrency.group: {error.message}", hint=error.hint) from error


def demanded_of_slot(
    spec: WorkflowSpec | None,
    *,
    inputs: str | None,
    schedule: str,
    labels: Mapping[str, str],
    slot: datetime,
) -> str | None:
    """Ask as `demanded` does, of a run that a schedule starts for a slot.

    Args:
        spec: the workflow; None where nothing is demanded.
        inputs: JSON text, checked and with defaults.
        schedule: its name.
        labels: of the schedule.
        slot: for which.
    """
    if spec is None or inputs is None:
        return None
    at = slot.isoformat()
    run = new_run(spec.name, {**spec.labels, **labels, "schedule": schedule}, at, at)
    return demanded(spec, inputs=codec.loads(inputs), run=run)


def new_run(
    name: str, labels: Mapping[str, str], created_at: str, scheduled_for: str | None = None
) -> dict[str, Any]:
    """Return the context ``run`` of a run that is to be recorded; times are RFC 3339."""
    return {
        "id": None,
        "name": name,
        "state": None,
        "error": None,
        "created_at": created_at,
        "started_at": None,
        "scheduled_for": scheduled_for,
        "parent_id": None,
        "labels": dict(labels),
    }


def _fault(given: Mapping[str, Any], contexts: Mapping[str, Any]) -> str | None:
    source = str(given["if"]).strip()
    try:
        expression = compile_expression(source)
        if truthy(expression.evaluate(contexts)):
            return None
        looked_at = [_value(path.fixed(), contexts) for path in expression.paths]
        message = given.get("message")
        told = None if message is None else str(resolve(message, contexts, strict_missing=False))
    except ExpressionError as error:
        return f"precondition `{source}` cannot be evaluated: {error.message}"
    known = f" ({', '.join(dict.fromkeys(looked_at))})" if looked_at else ""
    return f"{told or 'a precondition does not hold'}: `{source}`{known}"


def _value(path: tuple[str, ...], contexts: Mapping[str, Any]) -> str:
    value: Any = contexts.get(path[0])
    for part in path[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"{'.'.join(path)} is {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
