"""Syntax tree -> closures, compiled once, called often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tributary_daemon.spec.expressions.arithmetic import calculate
from tributary_daemon.spec.expressions.lookup import MISSING, elements, look_up, walk
from tributary_daemon.spec.expressions.scope import LONG, Scope
from tributary_daemon.spec.expressions.syntax import (
    COMPUTED,
    WILDCARD,
    Calculation,
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
from tributary_daemon.spec.expressions.values import equal, greater, truthy

Compiled = Callable[[Scope], Any]


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
        case Calculation():
            return _compile_calculation(node)
        case Chain():
            return _compile_chain(node)


def _compile_call(node: Call) -> Compiled:
    arguments = tuple(compile_node(argument) for argument in node.arguments)
    body = node.function.body
    return lambda scope: body(scope, arguments)


def _compile_comparison(node: Compare) -> Compiled:
    left, right = compile_node(node.left), compile_node(node.right)
    compare, ordering = COMPARISONS[node.operator], node.operator[0] in "<>"

    def run(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        if (isinstance(one, str) and len(one) > LONG) or (isinstance(other, str) and len(other) > LONG):
            _count(scope, one, other, ordering=ordering)
        return compare(one, other)

    return run


def _count(scope: Scope, one: Any, other: Any, *, ordering: bool) -> None:
    both = [side for side in (one, other) if isinstance(side, str)]
    # texts of different lengths are unequal without a look at them
    if ordering or len(both) == 1 or len(one) == len(other):
        for side in both:
            scope.read(side)


COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    ">": greater,
    "<": lambda left, right: greater(right, left),
    ">=": lambda left, right: greater(left, right) or equal(left, right),
    "<=": lambda left, right: greater(right, left) or equal(left, right),
}


def _compile_calculation(node: Calculation) -> Compiled:
    sign, left, right = node.operator, compile_node(node.left), compile_node(node.right)

    def run(scope: Scope) -> Any:
        one, other = left(scope), right(scope)
        # `if` and `??` never fail for what is missing, and missing is null
        if (one is None or other is None) and not scope.strict:
            return None
        return calculate(sign, one, other)

    return run


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
    if chain is None:
        return _compile_step(compile_node(node.target), node.index)
    name, parts = chain
    root = name.name
    if not any(part is WILDCARD or part is COMPUTED for part in parts):
        return _compile_path(root, tuple(parts))
    if WILDCARD in parts:
        # up to the first one a path may be missing, behind it elements are only filtered
        return _compile_step(compile_node(node.target), node.index)
    indexes = tuple(map(compile_node, _indexes(node)))
    return lambda scope: walk(scope, root, tuple(index(scope) for index in indexes))


def _compile_path(root: str, parts: tuple[Any, ...]) -> Compiled:
    def follow(scope: Scope) -> Any:
        if scope.strict:
            return walk(scope, root, parts)
        value = scope.contexts.get(root)
        for part in parts:
            # as most are; the keys of JSON are texts, so that a number is not found here
            if type(value) is dict and part in value:
                value = value[part]
            elif (value := look_up(scope, value, part)) is MISSING:
                return None
        return value

    return follow


def _indexes(node: Node) -> list[Node]:
    found: list[Node] = []
    while isinstance(node, Index) and node.index is not None:
        found.append(node.index)
        node = node.target
    return found[::-1]


def _compile_step(target: Compiled, part: Node | None) -> Compiled:
    if part is None:
        return lambda scope: elements(scope, target(scope))
    index = compile_node(part)

    def step(scope: Scope) -> Any:
        value = look_up(scope, target(scope), index(scope))
        return None if value is MISSING else value

    return step
