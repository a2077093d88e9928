"""From the stored templates of a run to values: a step's `with`, a run's `result`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tributary_daemon import codec
from tributary_daemon.engine.failures import unfit
from tributary_daemon.errors import CodecError
from tributary_daemon.model.outcome import Completed, Discarded, Outcome
from tributary_daemon.spec.expressions import ExpressionError, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease


class RunView(Protocol):
    """What never changes about a run, as expressions see it."""

    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def run(self) -> Mapping[str, Any]: ...


class Surroundings(Protocol):
    """What the expressions of a step may refer to.

    Attributes:
        facts: of its run.
        steps: of those it needs: ``{id: {"state", "attempt", "result"}}``.
    """

    @property
    def facts(self) -> RunView: ...
    @property
    def steps(self) -> Mapping[str, Mapping[str, Any]]: ...


def contexts(around: Surroundings) -> dict[str, Any]:
    """Return the contexts of expressions by name."""
    return {"inputs": around.facts.inputs, "steps": around.steps, "run": around.facts.run, "env": {}}


def resolve_payload(lease: Lease, around: Surroundings) -> str | Outcome:
    """Return the payload of a lease with its expressions resolved, as JSON text.

    Args:
        lease: its payload is the stored template.
        around: what the expressions refer to.

    Returns:
        the payload, or `Discarded`: another attempt would meet the same expression and the same values.
    """
    try:
        template = codec.loads(lease.payload)
        return codec.dumps(resolve(template, contexts(around), strict_missing=True))
    except ExpressionError as error:
        return Discarded(unfit(error, lease, "expression"))
    except CodecError as error:
        return Discarded(unfit(error, lease, "invalid_payload"))


def close_run(lease: Lease, template: Any, around: Surroundings) -> Outcome:
    """Return the outcome of a run's closing step, whose result is the run's.

    Args:
        lease: of the closing step.
        template: the workflow's ``result`` with its expressions.
        around: of the whole run.
    """
    try:
        value = resolve(template, contexts(around), strict_missing=True)
        return Completed(codec.dumps(value, what="result"))
    except ExpressionError as error:
        return Discarded(unfit(error, lease, "expression"))
    except CodecError as error:
        return Discarded(unfit(error, lease, "unserialisable_result"))
