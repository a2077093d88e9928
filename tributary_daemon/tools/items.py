"""How many items a fan-out has, as far as it can be told before it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions import ExpressionError, compile_expression, resolve, split
from tributary_daemon.spec.matrix import MAX_ITEMS, combinations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.workflow import StepSpec

_CLOCK: Final = frozenset({"now", "today"})


def count(step: StepSpec, inputs: Mapping[str, Any] | None) -> int | None:
    """Return the number of items of a fan-out; None when only the run can tell.

    Args:
        step: a step that fans out.
        inputs: the known inputs; None when nothing is known of them.
    """
    if step.matrix is not None:
        return _combinations(step.matrix, inputs)
    items = known(step.for_each, inputs)
    return len(items) if isinstance(items, list) else None


def known(value: Any, inputs: Mapping[str, Any] | None) -> Any:
    """Return a template's value where it follows from the inputs alone; None where it does not.

    The items of a written list are left as they are: their number is known whatever they hold.
    """
    if not isinstance(value, str):
        return value
    if inputs is None or not all(
        follows(piece.text, inputs) for piece in split(value) if piece.is_expression
    ):
        return None
    try:
        return resolve(value, {"inputs": dict(inputs)}, strict_missing=False)
    except ExpressionError:
        return None


def follows(expression: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether an expression reads nothing but inputs that are known, and not the time."""
    try:
        compiled = compile_expression(expression)
    except ExpressionError:
        return False
    names = {name.lower() for name in inputs}
    for path in compiled.paths:
        first = path.parts[0] if path.parts else None
        if path.root != "inputs" or not isinstance(first, str) or first.lower() not in names:
            return False
    return compiled.calls.isdisjoint(_CLOCK)


def _combinations(matrix: Mapping[str, Any], inputs: Mapping[str, Any] | None) -> int | None:
    axes: dict[str, list[Any]] = {}
    for name, values in matrix.get("axes", {}).items():
        listed = known(values, inputs)
        if not isinstance(listed, list):
            return None
        axes[name] = listed
    size = math.prod(map(len, axes.values())) if axes else 0
    if size > MAX_ITEMS:
        # more than a run takes are multiplied, not made
        return size
    include, exclude = (known(matrix.get(key) or [], inputs) for key in ("include", "exclude"))
    if not (_mappings(include) and _mappings(exclude)):
        return None
    return len(combinations(axes, include, exclude))


def _mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
