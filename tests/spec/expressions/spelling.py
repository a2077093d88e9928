"""Syntax tree -> text that reads back as the same tree."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from tributary_daemon.spec.expressions.parser import NOT_POWER, POWER
from tributary_daemon.spec.expressions.syntax import (
    Calculation,
    Call,
    Chain,
    Compare,
    Index,
    Literal,
    Name,
    Node,
    Not,
)

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PRIMARY: Final = NOT_POWER + 1


def spell(node: Node) -> str:
    """Return a node as text, with the parentheses it needs."""
    match node:
        case Literal(value):
            return _constant(value)
        case Name(name):
            return name
        case Index(target, None):
            return f"{_target(target)}.*"
        case Index(target, Literal(str(word))) if _WORD.fullmatch(word):
            return f"{_target(target)}.{word}"
        case Index(target, index):
            assert index is not None
            return f"{_target(target)}[{spell(index)}]"
        case Call():
            return f"{node.function.name}({', '.join(map(spell, node.arguments))})"
        case Not(operand):
            return f"!{_within(operand, NOT_POWER)}"
        case Compare() | Calculation():
            power = POWER[node.operator]
            return f"{_within(node.left, power)} {node.operator} {_within(node.right, power + 1)}"
        case Chain():
            power = POWER[node.operator]
            # a chain in a chain of the same kind is written in parentheses only behind the operator
            first, *others = node.operands
            return f" {node.operator} ".join(
                (_within(first, power), *(_within(other, power + 1) for other in others))
            )


def _within(node: Node, power: int) -> str:
    text = spell(node)
    return f"({text})" if _power(node) < power else text


def _target(node: Node) -> str:
    text = spell(node)
    return text if isinstance(node, (Name, Index, Call)) else f"({text})"


def _power(node: Node) -> int:
    match node:
        case Compare() | Calculation() | Chain():
            return POWER[node.operator]
        case Not():
            return NOT_POWER
    return _PRIMARY


def _constant(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)
