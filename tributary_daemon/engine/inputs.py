"""From the stored templates of a run to values: whether a step runs at all, its `with`, a run's `result`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec
from tributary_daemon.engine.failures import unfit
from tributary_daemon.errors import CodecError
from tributary_daemon.model.control import Flag, is_undo
from tributary_daemon.model.outcome import Completed, Discarded, Outcome, Skipped
from tributary_daemon.spec.expressions import (
    ExpressionError,
    Status,
    compile_condition,
    resolve,
    trace,
    truthy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.engine.surroundings import Surroundings

SHELL_NAME: Final = "trib.shell.v1"


def contexts(around: Surroundings, item: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the contexts of expressions by name.

    Args:
        around: what they read.
        item: of a fan-out: ``{"item", "index"}`` or ``{"matrix", "index"}``.
    """
    facts = around.facts
    found = {
        "inputs": facts.inputs,
        "steps": around.steps,
        "run": facts.run,
        "env": facts.plan.env,
        "secrets": around.secrets,
    }
    return found if item is None else {**found, **item}


def prepare(lease: Lease, around: Surroundings) -> str | Outcome:
    """Return the payload that the handler of a step gets, as JSON text.

    Args:
        lease: its payload is the stored template, or the item of a fan-out.
        around: what its expressions read.

    Returns:
        the payload; `Skipped` when the step's condition does not hold; `Discarded` where another attempt
        would meet the same expression and the same values.
    """
    try:
        undo = is_undo(lease.flags)
        # the payload of what undoes a plain step is null
        item = codec.loads(lease.payload) if undo or lease.flags & Flag.ITEM else None
        seen = contexts(around, item)
        if lease.flags & Flag.CONDITION and (skipped := decide(around, seen)) is not None:
            return skipped
        # the flag may be there for another of its expressions: then its payload is meant literally
        dynamic = lease.flags & Flag.DYNAMIC and (undo or around.step.get("dynamic", True))
        if not (dynamic or lease.flags & Flag.ITEM or lease.name == SHELL_NAME):
            return lease.payload
        if undo:
            template = around.step["undo"].get("with", {})
        else:
            template = codec.loads(lease.payload) if item is None else _template(around, item)
        if lease.name == SHELL_NAME:
            _refuse_spliced(template)
        value = resolve(template, seen, strict_missing=True)
        if lease.name == SHELL_NAME and around.facts.plan.env:
            common = resolve(dict(around.facts.plan.env), seen, strict_missing=True)
            value = {**value, "env": {**common, **value.get("env", {})}}
        return codec.dumps(value)
    except ExpressionError as error:
        return Discarded(unfit(error, lease, "expression"))
    except CodecError as error:
        return Discarded(unfit(error, lease, "invalid_payload"))


def _refuse_spliced(template: Any) -> None:
    """Refuse a script that expressions would change: the loader does too, but is not all that makes plans.

    Raises:
        CodecError: there is one in the script, in what runs it, or in the place of both.
    """
    parts = (template.get("run"), template.get("shell")) if isinstance(template, dict) else (template,)
    if any(isinstance(part, str) and "${{" in part for part in parts):
        raise CodecError(
            "an expression would splice text into the script",
            hint="put the value into env, and use the variable in the script",
        )


def decide(around: Surroundings, seen: Mapping[str, Any]) -> Skipped | None:
    """Return `Skipped`, with the condition clause by clause, when the condition of a step does not hold.

    Raises:
        ExpressionError: it cannot be evaluated.
    """
    condition = around.step.get("condition")
    if condition is None:
        return None
    status = Status(success=around.good, failure=around.failed, cancelled=around.cancelled)
    expression = compile_condition(condition)
    if truthy(expression.evaluate(seen, status=status)):
        return None
    # a second evaluation, many times as dear: only whoever is skipped is asked why
    return Skipped(trace(expression, seen, status).to_json())


def _template(around: Surroundings, item: Mapping[str, Any]) -> Any:
    if not item.get("aggregate"):
        return around.template
    aggregate = around.step["aggregate"]
    return aggregate.get("with", f"${{{{ steps.{around.step['id']}.items.*.result }}}}")


def close_run(lease: Lease, around: Surroundings) -> Outcome:
    """Return the outcome of a run's closing step, whose result is the run's.

    Args:
        lease: of the closing step.
        around: of the whole run.
    """
    try:
        value = resolve(around.facts.plan.result, contexts(around), strict_missing=True)
        return Completed(codec.dumps(value, what="result"))
    except ExpressionError as error:
        return Discarded(unfit(error, lease, "expression"))
    except CodecError as error:
        return Discarded(unfit(error, lease, "unserialisable_result"))
