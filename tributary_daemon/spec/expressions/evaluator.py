"""Syntax tree -> closures, compiled once, called often."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.functions import check_size
from tributary_daemon.spec.expressions.syntax import (
    COMPUTED,
    WILDCARD,
    Call,
    Chain,
    Compare,
    Index,
    Literal,
    Name,
    Node,
    Not,
    chain_of,
)
from tributary_daemon.spec.expressions.values import equal, fold, greater, to_number, to_text, truthy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Scope:
    """What one evaluation sees and may use up.

    Args:
        contexts: name in lower case -> value.
        strict: a path that leads nowhere is an error, see ``strict_missing`` of ``resolve``.
    """

    __slots__ = ("contexts", "made", "strict")

    def __init__(self, contexts: Mapping[str, Any], *, strict: bool) -> None:
        self.contexts = contexts
        self.strict = strict
        self.made = 0


Compiled = Callable[[Scope], Any]


class _Missing:
    """Nothing is there, unlike null."""


class _Filtered(list[Any]):
    """What ``.*`` yields: a further index applies to each element."""


_MISSING: Final = _Missing()


def compile_node(node: Node) -> Compiled:
    """Return the closure that evaluates ``node``."""
    match node:
        case Literal(value):
            return lambda _: value
        case Name(name):
            return lambda scope: scope.contexts.get(name)
        case Index():
            return _compile_index(node)
        case Call():
            return _compile_call(node)
        case Not(operand):
            inner = compile_node(operand)
            return lambda scope: not truthy(inner(scope))
        case Compare():
            return _compile_comparison(node)
        case Chain():
            return _compile_chain(node)


def _compile_call(node: Call) -> Compiled:
    arguments = tuple(compile_node(argument) for argument in node.arguments)
    body = node.function.body

    def call(scope: Scope) -> Any:
        result = body(tuple(functools.partial(argument, scope) for argument in arguments))
        if isinstance(result, str):
            scope.made += len(result)
            check_size(scope.made)
        return result

    return call


def _compile_comparison(node: Compare) -> Compiled:
    left, right = compile_node(node.left), compile_node(node.right)
    match node.operator:
        case "==":
            return lambda scope: equal(left(scope), right(scope))
        case "!=":
            return lambda scope: not equal(left(scope), right(scope))
        case ">":
            return lambda scope: greater(left(scope), right(scope))
        case "<":
            return lambda scope: _swapped(greater, left(scope), right(scope))
        case ">=":
            return lambda scope: _or_equal(left(scope), right(scope))
        case _:
            return lambda scope: _swapped(_or_equal, left(scope), right(scope))


def _or_equal(left: Any, right: Any) -> bool:
    return greater(left, right) or equal(left, right)


def _swapped(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    return compare(right, left)


def _compile_chain(node: Chain) -> Compiled:
    operands = tuple(compile_node(operand) for operand in node.operands)
    first, last = operands[:-1], operands[-1]

    def conjunction(scope: Scope) -> Any:
        for operand in first:
            if not truthy(value := operand(scope)):
                return value
        return last(scope)

    def disjunction(scope: Scope) -> Any:
        for operand in first:
            if truthy(value := operand(scope)):
                return value
        return last(scope)

    def coalescence(scope: Scope) -> Any:
        strict, scope.strict = scope.strict, False
        try:
            return next((value for operand in operands if (value := operand(scope)) is not None), None)
        finally:
            scope.strict = strict

    return {"&&": conjunction, "||": disjunction, "??": coalescence}[node.operator]


def _compile_index(node: Index) -> Compiled:
    chain = chain_of(node)
    if chain is not None and not any(part is WILDCARD or part is COMPUTED for part in chain[1]):
        return _compile_path(chain[0].name, tuple(chain[1]))
    target = compile_node(node.target)
    if node.index is None:
        return lambda scope: _filtered(scope, target(scope))
    index = compile_node(node.index)

    def step(scope: Scope) -> Any:
        value = _look_up(target(scope), index(scope))
        return None if value is _MISSING else value

    return step


def _compile_path(root: str, parts: tuple[Any, ...]) -> Compiled:
    def walk(scope: Scope) -> Any:
        value = scope.contexts.get(root)
        if scope.strict:
            return _strict_walk(root, parts, value)
        for part in parts:
            value = _look_up(value, part)
            if value is _MISSING:
                return None
        return value

    return walk


def _strict_walk(root: str, parts: tuple[Any, ...], value: Any) -> Any:
    required = 0
    if root == "inputs":
        required = 1
    elif root == "steps":
        step = _look_up(value, parts[0])
        state = _look_up(step, "state")
        # a skipped or tolerated step publishes null, and whatever is read from null is null
        required = len(parts) if state in ("completed", _MISSING) else 1
    for count, part in enumerate(parts, 1):
        value = _look_up(value, part)
        if value is _MISSING:
            if count > required:
                return None
            raise ExpressionError(
                "missing",
                f"{_spell(root, parts)} does not exist: {_spell(root, parts[: count - 1])} has no {part!r}",
                hint="write `?? fallback` behind a path that may be missing",
            )
    return value


def _spell(root: str, parts: tuple[Any, ...]) -> str:
    spelled = root
    for part in parts:
        plain = isinstance(part, str) and part.replace("-", "_").isidentifier()
        spelled += f".{part}" if plain else f"[{part!r}]"
    return spelled


def _look_up(target: Any, index: Any) -> Any:
    if isinstance(target, dict):
        return _MISSING if isinstance(index, (list, tuple, dict)) else _property(target, to_text(index))
    if isinstance(target, _Filtered):
        found = (_look_up(item, index) for item in target)
        return _Filtered(item for item in found if item is not _MISSING)
    if isinstance(target, (list, tuple)):
        number = to_number(index)
        if math.isnan(number) or not 0 <= number < len(target):
            return _MISSING
        return target[int(number)]
    return _MISSING


def _property(target: dict[str, Any], name: str) -> Any:
    if name in target:
        return target[name]
    folded = fold(name)
    return next((value for key, value in target.items() if fold(key) == folded), _MISSING)


def _filtered(scope: Scope, target: Any) -> _Filtered:
    if isinstance(target, _Filtered):
        result = _Filtered(element for item in target for element in _elements(item))
    else:
        result = _Filtered(_elements(target))
    scope.made += len(result)
    check_size(scope.made)
    return result


def _elements(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value if isinstance(value, (list, tuple)) else ())
