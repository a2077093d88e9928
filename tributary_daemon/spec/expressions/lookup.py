"""What is behind ``.name``, ``[index]`` and ``.*``."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.scope import LONG
from tributary_daemon.spec.expressions.values import fold, to_number, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.spec.expressions.scope import Scope

_UNITS_PER_ITEM: Final = 15
_UNITS_PER_SEARCH: Final = 100
_UNITS_PER_NAME: Final = 20
# objects of up to so many names are searched anew each time
_FEW_NAMES: Final = 16
_LONGEST_SHOWN: Final = 80


class Missing:
    """Nothing is there, unlike null."""


class Filtered(list[Any]):
    """What ``.*`` yields: a further index applies to each element."""


MISSING: Final = Missing()


def look_up(scope: Scope, target: Any, index: Any) -> Any:
    """Return what ``target[index]`` is, or MISSING."""
    if isinstance(target, dict):
        if isinstance(index, (list, tuple, dict)):
            return MISSING
        return _property(scope, target, to_text(index))
    if isinstance(target, Filtered):
        scope.spend(len(target) * _UNITS_PER_ITEM)
        found = (
            item[index] if type(item) is dict and isinstance(index, str) and index in item
            else _look_further(scope, item, index)
            for item in target
        )  # fmt: skip
        return Filtered(item for item in found if item is not MISSING)
    if isinstance(target, (list, tuple)):
        number = to_number(index)
        # NaN is not between the bounds either; an integer may be too large for a float
        return target[int(number)] if 0 <= number < len(target) else MISSING
    return MISSING


def _look_further(scope: Scope, item: Any, index: Any) -> Any:
    scope.spend(_UNITS_PER_SEARCH)
    return look_up(scope, item, index)


def _property(scope: Scope, target: dict[str, Any], name: str) -> Any:
    if name in target:
        return target[name]
    if len(name) > LONG:
        scope.read(name)
    folded = fold(name)
    if len(target) <= _FEW_NAMES:
        scope.spend(len(target) * _UNITS_PER_NAME)
        # folding never changes the length
        length = len(name)
        return next(
            (value for key, value in target.items() if len(key) == length and fold(key) == folded), MISSING
        )
    kept = scope.names.get(id(target))
    if kept is None:
        scope.spend(len(target) * _UNITS_PER_NAME)
        names: dict[str, Any] = {}
        for key, value in target.items():
            names.setdefault(fold(key), value)
        # the object is kept beside them, so that its id stays its own
        kept = scope.names[id(target)] = (target, names)
    return kept[1].get(folded, MISSING)


def elements(scope: Scope, target: Any) -> Filtered:
    """Return what ``target.*`` is."""
    if isinstance(target, Filtered):
        scope.make(sum(len(item) for item in target if isinstance(item, (list, tuple, dict))))
        return Filtered(chain.from_iterable(map(_elements, target)))
    found = Filtered(_elements(target))
    scope.make(len(found))
    return found


def _elements(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def walk(scope: Scope, root: str, parts: Sequence[Any]) -> Any:
    """Return what a path leads to, null when it leads nowhere.

    Args:
        scope: with ``strict``, a missing input, step or part of a completed step's result is an error.
        root: the context.
        parts: names and indexes.

    Raises:
        ExpressionError: kind ``missing``.
    """
    value = scope.contexts.get(root)
    required = _required(scope, root, parts, value) if scope.strict else 0
    for count, part in enumerate(parts, 1):
        # as most are; the keys of JSON are texts, so that a number is not found here
        if type(value) is dict and isinstance(part, str) and part in value:
            value = value[part]
        elif (value := look_up(scope, value, part)) is MISSING:
            if count > required:
                return None
            raise ExpressionError(
                "missing",
                f"{spell(root, parts)} does not exist: "
                f"{spell(root, parts[: count - 1])} has no {_shown(part)}",
                hint="write `?? fallback` behind a path that may be missing",
            )
    return value


def _required(scope: Scope, root: str, parts: Sequence[Any], value: Any) -> int:
    """Return how many parts of a path must exist."""
    if root == "inputs":
        return 1
    if root != "steps" or not parts:
        return 0
    state = look_up(scope, look_up(scope, value, parts[0]), "state")
    # a skipped or tolerated step publishes null, and whatever is read from null is null
    return len(parts) if state in ("completed", MISSING) else 1


def spell(root: str, parts: Sequence[Any]) -> str:
    """Return a path as it is written."""
    spelled = root
    for part in parts:
        plain = isinstance(part, str) and part.replace("-", "_").isidentifier()
        spelled += f".{part}" if plain else f"[{_shown(part)}]"
    return spelled


def _shown(part: Any) -> str:
    text = repr(part)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
