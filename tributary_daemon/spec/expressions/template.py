"""Expressions inside JSON values: finding ``${{ }}`` in texts, and resolving them."""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.evaluator import Compiled, compile_node
from tributary_daemon.spec.expressions.masking import masked, secrets_of
from tributary_daemon.spec.expressions.parser import parse, read_path, tree_of
from tributary_daemon.spec.expressions.scope import MAX_MADE, MAX_WORK, Scope, Status, check_size
from tributary_daemon.spec.expressions.syntax import Node, Path, calls, paths
from tributary_daemon.spec.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CONTEXTS: Final = frozenset({"inputs", "steps", "item", "index", "matrix", "env", "secrets", "run"})

Names = frozenset[str] | tuple[str, ...]

_OPEN = "${{"
# longer texts are compiled each time, so that what is kept stays small
_LONGEST_KEPT: Final = 4_096
_LONGEST_SHOWN: Final = 500
# all expressions of one value may use up so many times what one may
_MOST_AT_ONCE: Final = 4
# the closing braces do not count inside a text of the expression
_BODY = re.compile(r"(?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*")


class Expression:
    """An expression: immutable to its users, usable from any thread.

    Attributes:
        source: its text.
        paths: every mention of a context.
        calls: names of the functions it calls, in lower case.
    """

    __slots__ = ("_run", "_tree", "calls", "paths", "source")

    def __init__(self, source: str, names: Collection[str]) -> None:
        self.source = source
        self._run: Compiled | None = None
        self._tree: Node | None = None
        self.paths: tuple[Path, ...]
        if (path := read_path(source, names)) is not None:
            # a tree of it is made when it is evaluated: who checks a file needs none
            self.paths = (path,)
            self.calls: frozenset[str] = frozenset()
        else:
            self._tree = parse(source, names)
            self.calls = frozenset(calls(self._tree))
            self.paths = tuple(sorted(paths(self._tree), key=lambda path: path.position))

    @property
    def references(self) -> frozenset[tuple[str, ...]]:
        """The paths as tuples of words, e.g. ``("steps", "a", "result", "b")``."""
        return frozenset(path.fixed() for path in self.paths)

    @property
    def tree(self) -> Node:
        """The syntax tree."""
        if self._tree is None:
            self._tree = tree_of(self.paths[0])
        return self._tree

    def evaluate(
        self, contexts: Mapping[str, Any], *, strict_missing: bool = False, status: Status | None = None
    ) -> Any:
        """Return the value; arrays and objects may be parts of the contexts themselves.

        Args:
            contexts: name, in any case -> JSON value.
            strict_missing: see ``resolve``.
            status: what status functions answer; they are errors without it.

        Raises:
            ExpressionError: kind ``evaluation`` or ``missing``; its message holds no secret.
        """
        folded = {name.lower(): value for name, value in contexts.items()}
        return self.evaluate_in(Scope(folded, strict=strict_missing, status=status))

    def evaluate_in(self, scope: Scope) -> Any:
        """Return the value in a scope.

        Raises:
            ExpressionError: see `evaluate`.
        """
        run = self._run
        if run is None:
            # checking a file needs no closures; two threads at once would make equal ones
            run = self._run = compile_node(self.tree)
        try:
            return run(scope)
        except ExpressionError as error:
            if secrets := secrets_of(scope.contexts):
                raise ExpressionError(error.kind, masked(error.message, secrets), hint=error.hint) from None
            raise


def compile_expression(text: str, *, names: Collection[str] = CONTEXTS) -> Expression:
    """Compile the text between ``${{`` and ``}}``.

    Args:
        text: the expression.
        names: the contexts that exist; those of the language unless given.

    Raises:
        ExpressionError: kind ``lexing`` or ``parsing``.
    """
    return Expression(text, names if names is CONTEXTS else frozenset(name.lower() for name in names))


def compile_condition(text: str, names: Names = CONTEXTS) -> Expression:
    """Compile what stands behind ``if:``: an expression, with or without ``${{ }}`` around the whole of it.

    Args:
        text: the condition.
        names: the contexts that exist; those of the language unless given.

    Raises:
        ExpressionError: as `compile_expression`; or text stands beside the braces, which would always hold.
    """
    return _kept_condition(text, names) if len(text) <= _LONGEST_KEPT else _condition(text, names)


@functools.lru_cache(maxsize=2048)
def _kept_condition(text: str, names: Names) -> Expression:
    return _condition(text, names)


def _condition(text: str, names: Names) -> Expression:
    if not text.lstrip().startswith(_OPEN):
        return compile_expression(text, names=names)
    pieces = [piece for piece in split(text) if piece.is_expression or piece.text.strip()]
    if len(pieces) == 1:
        return compile_expression(pieces[0].text, names=names)
    raise ExpressionError(
        "parsing",
        "text beside `${{ }}` makes a condition always true",
        hint="put the whole condition inside, or leave the braces out: a == b && c",
    )


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


@functools.lru_cache(maxsize=4096)
def _kept(text: str) -> tuple[str | Expression, ...]:
    return _compiled(text)


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
    return _Resolver(contexts, strict=strict_missing).resolve(value)


class _Resolver:
    """Resolves one value: each expression has its own bounds, and all of them together have some."""

    def __init__(self, contexts: Mapping[str, Any], *, strict: bool) -> None:
        self._contexts = {name.lower(): item for name, item in contexts.items()}
        self._strict = strict
        self._made = 0
        self._work = 0

    def resolve(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if _OPEN in value else value
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolve(item) for item in value]
        return value

    def _text(self, text: str) -> Any:
        parts = _kept(text) if len(text) <= _LONGEST_KEPT else _compiled(text)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return self._evaluate(parts[0])
        made = [part if isinstance(part, str) else to_text(self._evaluate(part)) for part in parts]
        check_size(sum(map(len, made)))
        return "".join(made)

    def _evaluate(self, expression: Expression) -> Any:
        scope = Scope(self._contexts, strict=self._strict)
        try:
            value = expression.evaluate_in(scope)
            self._count(scope, value)
        except ExpressionError as error:
            raise ExpressionError(
                error.kind, f"${{{{ {_shown(expression)} }}}}: {error.message}", hint=error.hint
            ) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ExpressionError(
                "evaluation", f"${{{{ {_shown(expression)} }}}} is {to_text(value)}, which is not JSON"
            )
        return value

    def _count(self, scope: Scope, value: Any) -> None:
        if isinstance(value, (str, list, tuple, dict)):
            # a value of the contexts is not copied here, but written once for each mention
            self._made += _size(value)
        self._work += scope.work
        if self._made > _MOST_AT_ONCE * MAX_MADE or self._work > _MOST_AT_ONCE * MAX_WORK:
            raise ExpressionError(
                "evaluation",
                "The maximum allowed memory size was exceeded by all expressions of the value together",
                hint="pass a reference to large data instead of the data",
            )


def _shown(expression: Expression) -> str:
    text = expression.source.strip()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _size(value: Any) -> int:
    """Return the number of characters and elements, or something past the bound."""
    size = 0
    waiting = [value]
    while waiting and size <= _MOST_AT_ONCE * MAX_MADE:
        item = waiting.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            size += len(item) + sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            size += len(item)
            waiting.extend(item)
    return size
