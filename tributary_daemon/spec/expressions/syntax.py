"""The syntax tree of an expression, and the paths it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.spec.expressions.functions import Function

MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A context, in lower case; ``position`` is where it stands in the expression."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Index:
    """``target.name``, ``target[index]``; ``target.*`` when ``index`` is None."""

    target: Node
    index: Node | None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a built-in function."""

    function: Function
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """``!operand``."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Compare:
    """``left operator right``, operator one of ``== != < <= > >=``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """``&&``, ``||`` or ``??`` over two or more operands, evaluated from the left until decided."""

    operator: str
    operands: tuple[Node, ...]


Node = Literal | Name | Index | Call | Not | Compare | Chain


def children(node: Node) -> tuple[Node, ...]:
    """Return the operands of a node, in order."""
    match node:
        case Literal() | Name():
            return ()
        case Index():
            return (node.target,) if node.index is None else (node.target, node.index)
        case Call():
            return node.arguments
        case Not():
            return (node.operand,)
        case Compare():
            return (node.left, node.right)
        case Chain():
            return node.operands


class Wildcard:
    """Part of a path: every element (``.*``)."""


class Computed:
    """Part of a path: known only when evaluated (``[expr]``)."""


WILDCARD: Final = Wildcard()
COMPUTED: Final = Computed()


class Path(NamedTuple):
    """What one mention of a context reads.

    Attributes:
        root: the context, in lower case.
        parts: names and indexes as written, ``WILDCARD`` or ``COMPUTED``.
        position: 0-based offset in the expression.
    """

    root: str
    parts: tuple[Any, ...]
    position: int

    def fixed(self) -> tuple[str, ...]:
        """Return root and parts as text, up to the first part that is not fixed."""
        words = [self.root]
        for part in self.parts:
            if part is WILDCARD or part is COMPUTED:
                break
            words.append(str(part))
        return tuple(words)


def chain_of(node: Node) -> tuple[Name, list[Any]] | None:
    """Return the context that a chain of indexes starts from and its parts; None for other nodes."""
    parts: list[Any] = []
    while isinstance(node, Index):
        match node.index:
            case None:
                parts.append(WILDCARD)
            case Literal(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool):
                parts.append(value)
            case _:
                parts.append(COMPUTED)
        node = node.target
    return (node, parts[::-1]) if isinstance(node, Name) else None


def paths(root: Node) -> Iterator[Path]:
    """Yield every mention of a context, each with the longest path that is read from it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        chain = chain_of(node)
        if chain is None:
            waiting.extend(children(node))
            continue
        name, parts = chain
        yield Path(name.name, tuple(parts), name.position)
        while isinstance(node, Index):
            if node.index is not None and not isinstance(node.index, Literal):
                waiting.append(node.index)
            node = node.target


def calls(root: Node) -> Iterator[str]:
    """Yield the name of every function that is called."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call):
            yield node.function.name
        waiting.extend(children(node))


def check_depth(depth: int) -> int:
    """Return ``depth``.

    Raises:
        ExpressionError: it exceeds the bound of the language.
    """
    if depth > MAX_DEPTH:
        raise ExpressionError("parsing", f"Exceeded max expression depth {MAX_DEPTH}")
    return depth
