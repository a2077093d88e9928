"""The functions that Tributary adds to GitHub's."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.function import MANY, Function
from tributary_daemon.spec.expressions.scope import LONG
from tributary_daemon.spec.expressions.values import kind_of

if TYPE_CHECKING:
    from tributary_daemon.spec.expressions.function import Argument
    from tributary_daemon.spec.expressions.scope import Scope

LONGEST_RANGE: Final = 100_000
_UNITS_PER_ITEM: Final = 80
_UNITS_OF_A_RANGE: Final = 2
_LETTERS_PER_UNIT: Final = 2


def _length(scope: Scope, arguments: tuple[Argument, ...]) -> int:
    value = arguments[0](scope)
    if value is None:
        return 0
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise _unfit("length", "a text, an array or an object", value)


def _keys(scope: Scope, arguments: tuple[Argument, ...]) -> list[str]:
    value = arguments[0](scope)
    if value is None:
        return []
    if isinstance(value, dict):
        scope.make(len(value))
        return list(value)
    raise _unfit("keys", "an object", value)


def _range(scope: Scope, arguments: tuple[Argument, ...]) -> list[int]:
    bounds = [_whole(argument(scope)) for argument in arguments]
    if len(bounds) == 3 and bounds[2] == 0:  # noqa: PLR2004 - start, end, step
        raise ExpressionError("evaluation", "the step of range is 0", hint="it is 1 when left out")
    numbers = range(*bounds)
    # len() refuses what a C integer cannot hold
    count = max(0, -((numbers.start - numbers.stop) // numbers.step))
    if count > LONGEST_RANGE:
        raise ExpressionError(
            "evaluation", f"range would have {count:,} elements, at most {LONGEST_RANGE:,} are allowed"
        )
    scope.make(count)
    scope.spend(count * _UNITS_OF_A_RANGE)
    return list(numbers)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unfit("range", "whole numbers", value)
    if isinstance(value, float) and not value.is_integer():
        raise ExpressionError("evaluation", f"range needs whole numbers, not {value}")
    return int(value)


def _hash(scope: Scope, arguments: tuple[Argument, ...]) -> str:
    values = [argument(scope) for argument in arguments]
    try:
        plain = [_canonical(scope, value) for value in values]
        text = json.dumps(
            plain[0] if len(plain) == 1 else plain, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
    except ValueError:
        raise ExpressionError("evaluation", "hash needs JSON, and NaN and Infinity are not") from None
    except RecursionError:
        raise ExpressionError("evaluation", "the value given to hash is nested too deeply") from None
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(scope: Scope, value: Any) -> Any:
    """Return the value with whole numbers as integers, so that 1 and 1.0 hash alike."""
    if isinstance(value, str):
        scope.spend(len(value) // _LETTERS_PER_UNIT if value.isascii() else 2 * len(value))
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        scope.spend(len(value) * _UNITS_PER_ITEM)
        return {key: _canonical(scope, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        scope.spend(len(value) * _UNITS_PER_ITEM)
        return [_canonical(scope, item) for item in value]
    return value


def _same(scope: Scope, arguments: tuple[Argument, ...]) -> bool:
    waiting = [(arguments[0](scope), arguments[1](scope))]
    while waiting:
        left, right = waiting.pop()
        kind = kind_of(left)
        if kind != kind_of(right):
            return False
        if kind == "Array":
            if len(left) != len(right):
                return False
            scope.spend(len(left) * _UNITS_PER_ITEM)
            waiting.extend(zip(left, right, strict=True))
        elif kind == "Object":
            if left.keys() != right.keys():
                return False
            scope.spend(len(left) * _UNITS_PER_ITEM)
            waiting.extend((left[key], right[key]) for key in left)
        elif left != right and not (_is_nan(left) and _is_nan(right)):
            return False
    return True


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _now(scope: Scope, _: tuple[Argument, ...]) -> str:
    return _time_of(scope, "now").isoformat(timespec="microseconds").replace("+00:00", "Z")


def _today(scope: Scope, _: tuple[Argument, ...]) -> str:
    return _time_of(scope, "today").date().isoformat()


def _time_of(scope: Scope, name: str) -> datetime:
    """Return the time that a run counts as: an expression gives the same value whenever it is evaluated."""
    run = scope.contexts.get("run")
    known = run if isinstance(run, dict) else {}
    text = known.get("scheduled_for") or known.get("created_at")
    if not isinstance(text, str):
        raise ExpressionError(
            "evaluation",
            f"{name}() is the time of a run, and there is none here",
            hint="it reads run.scheduled_for, else run.created_at; never the clock",
        )
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ExpressionError(
            "evaluation",
            f"{name}() cannot read {text[:LONG]!r} as a time",
            hint="times look like 2026-12-24T18:00:00Z",
        ) from None


def _unfit(name: str, needed: str, value: Any) -> ExpressionError:
    return ExpressionError("evaluation", f"{name} needs {needed}, not a value of kind {kind_of(value)}")


OWN: Final = (
    Function("length", 1, 1, _length, ("Number",), (("String", "Array", "Object", "Null"),)),
    Function("keys", 1, 1, _keys, ("Array",), (("Object", "Null"),)),
    Function("range", 1, 3, _range, ("Array",), (("Number",),)),
    Function("hash", 1, MANY, _hash, ("String",)),
    Function("same", 2, 2, _same, ("Boolean",)),
    Function("now", 0, 0, _now, ("String",)),
    Function("today", 0, 0, _today, ("String",)),
)
