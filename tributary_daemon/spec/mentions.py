"""Which steps the expressions of a stored plan read: what has to be loaded before they are evaluated."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.spec.expressions import ExpressionError, compile_expression, split
from tributary_daemon.spec.expressions.template import texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.spec.expressions import Expression

_OPEN = "${{"


class Mentions(NamedTuple):
    """What expressions read.

    Attributes:
        steps: ids in lower case, as names compare without case.
        items: those of them whose ``items`` are read.
        everything: some expression reads ``steps`` as a whole.
    """

    steps: frozenset[str]
    items: frozenset[str]
    everything: bool


def mentions(templates: Iterable[Any], conditions: Iterable[str] = ()) -> Mentions:
    """Return what these JSON templates and bare expressions read.

    Args:
        templates: JSON values with ``${{ }}`` in them.
        conditions: expressions without braces.
    """
    found: list[Expression] = [_compiled(condition) for condition in conditions]
    for template in templates:
        for text in texts(template):
            if _OPEN in text:
                found += [_compiled(piece.text) for piece in _pieces(text) if piece.is_expression]
    steps: set[str] = set()
    items: set[str] = set()
    everything = False
    for expression in found:
        for path in expression.paths:
            if path.root != "steps":
                continue
            words = [part.lower() if isinstance(part, str) else None for part in path.parts[:2]]
            if not words or words[0] is None:
                everything = True
                continue
            steps.add(words[0])
            if len(words) == 1 or words[1] in (None, "items"):
                items.add(words[0])
    return Mentions(frozenset(steps), frozenset(items), everything)


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
    return compile_expression(text)


def _pieces(text: str) -> Any:
    try:
        return split(text)
    except ExpressionError:
        # it was valid when the run was stored; whoever evaluates it says what is wrong with it
        return ()
