"""What expressions read, by the schemas that are known: the type of one, and the paths that lead nowhere."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions import CONTEXTS
from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.parser import parse
from tributary_daemon.spec.expressions.syntax import (
    COMPUTED,
    Calculation,
    Call,
    Chain,
    Compare,
    Literal,
    Node,
    Not,
    Path,
    chain_of,
    children,
)
from tributary_daemon.spec.shapes import (
    ANYTHING,
    BOOLEAN,
    INTEGER,
    LIST,
    NUMBER,
    TEXT,
    Gap,
    Shape,
    follow,
    kind_of_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# kinds of the expression language
_GIVEN: Final = {"String": TEXT, "Boolean": BOOLEAN, "Number": NUMBER, "Array": LIST}


@dataclass(frozen=True, slots=True)
class Lost:
    """A path that leads nowhere.

    Attributes:
        written: the part of it that exists, e.g. ``steps.a.result``.
        gap: what comes behind.
        step: the id of the step it reads, None for other contexts.
    """

    written: str
    gap: Gap
    step: str | None


class Readings:
    """The contexts of one place.

    Args:
        inputs: name, in lower case -> shape.
        result: returns the shape of a step's result; called with its id as written.
        item: of a fan-out's item; None where there is none.
    """

    def __init__(
        self, inputs: Mapping[str, Shape], result: Callable[[str], StepShape], item: Shape | None = None
    ) -> None:
        self._inputs = inputs
        self._result = result
        self._item = item

    @property
    def item(self) -> Shape | None:
        """Shape of a fan-out's item; None where there is none."""
        return self._item

    def type_of(self, source: str) -> Shape:
        """Return what an expression gives."""
        tree = _tree(source)
        if tree is None:
            return ANYTHING
        chain = chain_of(tree)
        if chain is not None:
            found = self._read(Path(chain[0].name, tuple(chain[1]), 0))
            return ANYTHING if isinstance(found, Lost) else found
        match tree:
            case Literal():
                return Shape.of({"type": kind_of_value(tree.value)})
            case Not() | Compare():
                return BOOLEAN
            case Calculation():
                return NUMBER
            case Call() if len(tree.function.gives) == 1:
                return _GIVEN[tree.function.gives[0]]
        return ANYTHING

    def lost(self, source: str) -> list[Lost]:
        """Return the paths of an expression that lead nowhere; what stands before ``??`` may."""
        tree = _tree(source)
        if tree is None:
            return []
        found = [self._read(path) for path in _strict(tree)]
        return list(dict.fromkeys(each for each in found if isinstance(each, Lost)))

    def _read(self, path: Path) -> Shape | Lost:
        first = path.parts[0] if path.parts else None
        if path.root == "index":
            return INTEGER
        if path.root == "item" and self._item is not None:
            return self._follow(self._item, "item", path.parts, None)
        if not isinstance(first, str):
            return ANYTHING
        if path.root == "inputs":
            shape = self._inputs.get(first.lower(), ANYTHING)
            return self._follow(shape, f"inputs.{first}", path.parts[1:], None)
        if path.root == "steps":
            return self._read_step(first, path.parts[1:])
        return ANYTHING

    def _read_step(self, step_id: str, parts: tuple[Any, ...]) -> Shape | Lost:
        word = parts[0].lower() if parts and isinstance(parts[0], str) else None
        if word == "state":
            return TEXT
        if word == "attempt":
            return INTEGER
        if word == "result":
            return self._follow(self._result(step_id).result, f"steps.{step_id}.result", parts[1:], step_id)
        if word == "items":
            return self._follow(self._result(step_id).items, f"steps.{step_id}.items", parts[1:], step_id)
        return ANYTHING

    def _follow(self, shape: Shape, head: str, parts: tuple[Any, ...], step: str | None) -> Shape | Lost:
        found = follow(shape, parts)
        if isinstance(found, Gap):
            return Lost(".".join([head, *found.at]), found, step)
        return found


@dataclass(frozen=True, slots=True)
class StepShape:
    """What a step shows: its result and its items."""

    result: Shape = ANYTHING
    items: Shape = ANYTHING


@functools.lru_cache(maxsize=2048)
def _tree(source: str) -> Node | None:
    try:
        return parse(source, CONTEXTS)
    except ExpressionError:
        # reported with its place by those who check the grammar
        return None


def _strict(tree: Node) -> Iterator[Path]:
    """Yield the paths that must lead somewhere."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        chain = chain_of(node)
        if chain is not None:
            yield Path(chain[0].name, tuple(chain[1]), 0)
            if COMPUTED in chain[1]:
                waiting.extend(children(node))
        elif isinstance(node, Chain) and node.operator == "??":
            waiting.append(node.operands[-1])
        else:
            waiting.extend(children(node))
