"""The items of a fan-out: from `for_each` and `matrix` to values, and how many of them may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.expressions import resolve
from tributary_daemon.spec.expressions.values import to_text
from tributary_daemon.spec.matrix import MAX_ITEMS, combinations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def items_of(step: Mapping[str, Any], seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a step in their order: ``{"key", "payload"}``.

    A payload is what expressions of the item see: ``{"item", "index"}`` or ``{"matrix", "index"}``.

    Args:
        step: of a plan, with ``for_each`` or ``matrix``.
        seen: contexts of expressions.

    Raises:
        ExpressionError: an expression cannot be evaluated.
        InvalidInput: not a list, too many items, or two of one key.
    """
    if "matrix" in step:
        payloads = [{"matrix": combination} for combination in _combinations(step["matrix"], seen)]
    else:
        values = resolve(step["for_each"], seen, strict_missing=True)
        if not isinstance(values, (list, tuple)):
            raise InvalidInput(
                f"for_each must be a list, not {_kind(values)}", hint="of an object, take a list of its parts"
            )
        payloads = [{"item": value} for value in values]
    if len(payloads) > MAX_ITEMS:
        raise InvalidInput(
            f"{len(payloads):,} items are more than {MAX_ITEMS:,}", hint="give each item a part of the list"
        )
    return _with_keys(payloads, step.get("key"), seen)


def tolerated(tolerate: Any, count: int) -> int:
    """Return how many of ``count`` items may fail: a number, or a share such as ``10%``, rounded down."""
    if tolerate is None:
        return 0
    if isinstance(tolerate, str):
        return int(float(tolerate.rstrip("% ")) * count / 100)
    return int(tolerate)


def _with_keys(
    payloads: Sequence[dict[str, Any]], template: Any, seen: Mapping[str, Any]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for index, payload in enumerate(payloads):
        payload["index"] = index
        if template is None:
            key = str(index)
        else:
            key = to_text(resolve(template, {**seen, **payload}, strict_missing=True))
            if not key:
                raise InvalidInput(
                    f"the key of item {index} is empty", hint="a key names its item, and each has its own"
                )
            if key in places:
                raise InvalidInput(
                    f"items {places[key]} and {index} have the same key {key!r}",
                    hint="a key names its item: put what tells them apart into it",
                )
            places[key] = index
        found.append({"key": key, "payload": payload})
    return found


def _combinations(matrix: Mapping[str, Any], seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    axes: dict[str, Any] = resolve(matrix.get("axes", {}), seen, strict_missing=True)
    for name, values in axes.items():
        if not isinstance(values, (list, tuple)):
            raise InvalidInput(f"matrix.{name} must be a list, not {_kind(values)}")
    size = 1
    for values in axes.values():
        size *= len(values)
    if size > MAX_ITEMS:
        raise InvalidInput(f"the matrix has {size:,} combinations, more than {MAX_ITEMS:,}")
    return combinations(axes, _mappings(matrix, "include", seen), _mappings(matrix, "exclude", seen))


def _mappings(matrix: Mapping[str, Any], key: str, seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    rules = resolve(matrix.get(key, []), seen, strict_missing=True)
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidInput(f"matrix.{key} must be a list of mappings")
    return list(rules)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "text"
        case dict():
            return "an object"
    return "a number"
