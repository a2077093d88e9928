"""Expressions inside JSON values: finding ``${{ }}`` in texts, and resolving them."""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.evaluator import Compiled, Scope, compile_node
from tributary_daemon.spec.expressions.functions import check_size
from tributary_daemon.spec.expressions.parser import parse, read_path, tree_of
from tributary_daemon.spec.expressions.syntax import Node, Path, calls, paths
from tributary_daemon.spec.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CONTEXTS: Final = frozenset({"inputs", "steps", "item", "index", "matrix", "env", "secrets", "run"})

_OPEN = "${{"
_NO_CALLS: Final[frozenset[str]] = frozenset()
# the closing braces do not count inside a text of the expression
_BODY = re.compile(r"(?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*")


class Expression:
    """An expression: immutable to its users, usable from any thread.

    Attributes:
        source: its text.
        paths: every mention of a context.
        calls: names of the functions that are called.
    """

    __slots__ = ("_run", "_tree", "calls", "paths", "source")

    def __init__(self, source: str, names: Collection[str]) -> None:
        self.source = source
        self._run: Compiled | None = None
        self._tree: Node | None = None
        self.paths: tuple[Path, ...]
        self.calls = _NO_CALLS
        if (path := read_path(source, names)) is not None:
            # a tree of it is made when it is evaluated: who checks a file needs none
            self.paths = (path,)
        else:
            self._tree = parse(source, names)
            self.paths = tuple(sorted(paths(self._tree), key=lambda path: path.position))
            self.calls = frozenset(calls(self._tree))

    @property
    def references(self) -> frozenset[tuple[str, ...]]:
        """The paths as tuples of words, e.g. ``("steps", "a", "result", "b")``."""
        return frozenset(path.fixed() for path in self.paths)

    def evaluate(self, contexts: Mapping[str, Any], *, strict_missing: bool = False) -> Any:
        """Return the value; arrays and objects may be parts of the contexts themselves.

        Args:
            contexts: name, in any case -> JSON value.
            strict_missing: see ``resolve``.

        Raises:
            ExpressionError: kind ``evaluation`` or ``missing``.
        """
        folded = {name.lower(): value for name, value in contexts.items()}
        run = self._run
        if run is None:
            # checking a file needs no closures; two threads at once would make equal ones
            run = self._run = compile_node(self._tree or tree_of(self.paths[0]))
        return run(Scope(folded, strict=strict_missing))


def compile_expression(text: str, *, names: Collection[str] = CONTEXTS) -> Expression:
    """Compile the text between ``${{`` and ``}}``.

    Args:
        text: the expression.
        names: the contexts that exist; those of the language unless given.

    Raises:
        ExpressionError: kind ``lexing`` or ``parsing``.
    """
    return Expression(text, names if names is CONTEXTS else frozenset(name.lower() for name in names))


class Piece(NamedTuple):
    """Part of a text: ``text`` as it stands, or the expression between the braces.

    ``offset`` is where the piece starts in the whole text; for an expression, where its own text starts.
    """

    text: str
    is_expression: bool
    offset: int


def split(text: str) -> list[Piece]:
    """Split a text at its ``${{ }}``.

    Raises:
        ExpressionError: kind ``lexing``, a ``${{`` is not closed; ``position`` counts in the whole text.
    """
    pieces: list[Piece] = []
    offset = 0
    while (start := text.find(_OPEN, offset)) >= 0:
        if start > offset:
            pieces.append(Piece(text[offset:start], is_expression=False, offset=offset))
        body = _BODY.match(text, start + len(_OPEN))
        end = body.end() if body else start
        if not text.startswith("}}", end):
            raise ExpressionError(
                "lexing",
                "`${{` is not closed by `}}`",
                position=start,
                hint="close it, and mind quotes inside: a ' in a text is doubled",
            )
        pieces.append(Piece(text[start + len(_OPEN) : end], is_expression=True, offset=start + len(_OPEN)))
        offset = end + 2
    if offset < len(text):
        pieces.append(Piece(text[offset:], is_expression=False, offset=offset))
    return pieces


@functools.lru_cache(maxsize=8192)
def _compiled(text: str) -> tuple[str | Expression, ...]:
    return tuple(
        compile_expression(piece.text) if piece.is_expression else piece.text for piece in split(text)
    )


def is_dynamic(value: Any) -> bool:
    """Return whether a JSON value holds at least one ``${{``."""
    return any(_OPEN in text for text in texts(value))


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value except the keys of objects, in order."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, (list, tuple)):
            waiting.extend(reversed(item))


def resolve(value: Any, contexts: Mapping[str, Any], *, strict_missing: bool) -> Any:
    """Return a JSON value with every ``${{ }}`` replaced; keys of objects stay as they are.

    A text that is one expression becomes its value with its type; embedded expressions become text.

    Args:
        value: any JSON value of bounded depth.
        contexts: e.g. ``{"inputs": {…}, "steps": {id: {"state", "attempt", "result"}}, "run": {…}}``.
        strict_missing: an undeclared input, an unknown step, or a path missing from the result of a
            completed step is an error instead of null.

    Raises:
        ExpressionError: of any kind; the message names the expression.
    """
    folded = {name.lower(): item for name, item in contexts.items()}
    return _resolve(value, folded, strict=strict_missing)


def _resolve(value: Any, contexts: Mapping[str, Any], *, strict: bool) -> Any:
    if isinstance(value, str):
        return _resolve_text(value, contexts, strict=strict) if _OPEN in value else value
    if isinstance(value, dict):
        return {key: _resolve(item, contexts, strict=strict) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolve(item, contexts, strict=strict) for item in value]
    return value


def _resolve_text(text: str, contexts: Mapping[str, Any], *, strict: bool) -> Any:
    parts = _compiled(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return _evaluate(parts[0], contexts, strict=strict)
    made: list[str] = []
    for part in parts:
        piece = part if isinstance(part, str) else to_text(_evaluate(part, contexts, strict=strict))
        made.append(piece)
    check_size(sum(map(len, made)))
    return "".join(made)


def _evaluate(expression: Expression, contexts: Mapping[str, Any], *, strict: bool) -> Any:
    try:
        value = expression.evaluate(contexts, strict_missing=strict)
    except ExpressionError as error:
        raise ExpressionError(
            error.kind, f"${{{{ {expression.source.strip()} }}}}: {error.message}", hint=error.hint
        ) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(
            "evaluation", f"${{{{ {expression.source.strip()} }}}} is {to_text(value)}, which is not JSON"
        )
    return value
