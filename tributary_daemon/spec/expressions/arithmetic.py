"""``+ - * / %`` over numbers."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.values import kind_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable

# whole numbers stay exact up to PostgreSQL's bigint; repeated products would grow without end
_MOST: Final = 2**63 - 1
_HINTS: Final = {
    "String": "fromJSON(text) reads a number, format('{0}{1}', a, b) joins texts",
    "Null": "write (x ?? 0) for a value that may be null",
    "Boolean": "case(condition, 1, 0) makes a number of it",
    "Array": "length(x) counts its elements",
    "Object": "length(x) counts its names",
}


def calculate(sign: str, left: Any, right: Any) -> Any:
    """Return ``left sign right``; whole numbers stay whole where the result is.

    Raises:
        ExpressionError: an operand is no number, the right one of ``/`` or ``%`` is 0, or the result is too
            large.
    """
    _check(sign, "left", left)
    _check(sign, "right", right)
    if sign in "/%" and right == 0:
        raise ExpressionError("evaluation", f"`{sign}` by zero", hint="check the right side before")
    try:
        result = _OPERATIONS[sign](left, right)
        if isinstance(result, int) and abs(result) > _MOST:
            result = float(result)
    except OverflowError:
        raise ExpressionError("evaluation", f"the result of `{sign}` is too large a number") from None
    return whole(result) if isinstance(result, float) else result


def _check(sign: str, side: str, value: Any) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return
    kind = kind_of(value)
    shown = "null" if kind == "Null" else f"of kind {kind}"
    raise ExpressionError(
        "evaluation", f"`{sign}` needs numbers; its {side} side is {shown}", hint=_HINTS[kind]
    )


def _multiply(left: float, right: float) -> float:
    if _both_whole(left, right) and abs(left) > _MOST and abs(right) > _MOST:
        return float(left) * float(right)
    return left * right


def _divide(left: float, right: float) -> float:
    if _both_whole(left, right) and left % right == 0:
        return left // right
    return left / right


def _remainder(left: float, right: float) -> float:
    if _both_whole(left, right):
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return math.fmod(left, right) if math.isfinite(left) else math.nan


def _both_whole(left: float, right: float) -> bool:
    return isinstance(left, int) and isinstance(right, int)


_OPERATIONS: Final[dict[str, Callable[[Any, Any], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
}
