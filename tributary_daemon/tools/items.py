"""How many items a fan-out has, as far as it can be told before it runs."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions import ExpressionError, compile_expression, resolve, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.workflow import StepSpec

_CLOCK: Final = frozenset({"now", "today"})
_MOST: Final = 100_000
"""More combinations than a run takes are multiplied, not made."""


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
    if size > _MOST:
        return size
    combinations = (
        [dict(zip(axes, values, strict=True)) for values in product(*axes.values())] if axes else []
    )
    included, excluded = (
        known(matrix.get("include") or [], inputs),
        known(matrix.get("exclude") or [], inputs),
    )
    if not isinstance(included, list) or not isinstance(excluded, list):
        return None
    kept = [each for each in combinations if not any(_fits(pattern, each) for pattern in excluded)]
    # what agrees with a combination on every axis it names extends it; anything else is one more
    extra = [each for each in included if not any(_extends(each, one) for one in kept)]
    return len(kept) + len(extra)


def _fits(pattern: Any, combination: Mapping[str, Any]) -> bool:
    # one that names nothing excludes nothing
    return (
        isinstance(pattern, dict)
        and bool(pattern)
        and all(key in combination and combination[key] == value for key, value in pattern.items())
    )


def _extends(entry: Any, combination: Mapping[str, Any]) -> bool:
    return isinstance(entry, dict) and all(
        combination[key] == value for key, value in entry.items() if key in combination
    )
