"""Nodes of a document, each with its place: what the checks read, whether it came from YAML or Python."""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple, Protocol

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_WORDS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": math.nan,
    ".NaN": math.nan,
    ".NAN": math.nan,
}
# a number starts with one of these; every other plain text of more than 5 letters is a string at once
_NUMERIC = frozenset("+-.0123456789")
_LONGEST_WORD = 5
_MOST_DIGITS = 300


class Place(NamedTuple):
    """Where a node stands: 0-based line and column, end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Mark(Protocol):
    """A position as the YAML parser reports it, 0-based."""

    line: int
    column: int


class _Placed:
    """Where a node stands.

    Args:
        start: the mark of its first character; for values from Python the path to it, e.g. ``steps.a.with``.
        end: the mark behind its last character; None for values from Python.
    """

    __slots__ = ("end", "start")

    def __init__(self, start: Mark | str, end: Mark | None) -> None:
        self.start = start
        self.end = end

    @property
    def place(self) -> Place | str:
        """A ``Place``, or the path of a Python value; made when asked for, since most nodes are right."""
        if isinstance(self.start, str) or self.end is None:
            return str(self.start)
        return Place(self.start.line, self.start.column, self.end.line, self.end.column)


class Scalar(_Placed):
    """A text, number, boolean or null.

    Attributes:
        value: the JSON value.
        plain: written without quotes and not as a block.
    """

    __slots__ = ("plain", "value")

    def __init__(
        self, value: Any, start: Mark | str, end: Mark | None = None, *, plain: bool = False
    ) -> None:
        self.value = value
        self.start = start
        self.end = end
        self.plain = plain


class Sequence(_Placed):
    """A list of nodes."""

    __slots__ = ("items",)

    def __init__(self, start: Mark | str, end: Mark | None = None) -> None:
        super().__init__(start, end)
        self.items: list[Node] = []


class Mapping(_Placed):
    """Pairs of key and value in order; a repeated key is reported and left out where it is composed.

    Attributes:
        pairs: text of the key -> its node and the value's.
        flow: written with ``{ }``.
    """

    __slots__ = ("flow", "pairs")

    def __init__(self, start: Mark | str, end: Mark | None = None, *, flow: bool = False) -> None:
        super().__init__(start, end)
        self.pairs: dict[str, tuple[Scalar, Node]] = {}
        self.flow = flow

    def get(self, key: str) -> Node | None:
        """Return the value under ``key``, None when absent."""
        pair = self.pairs.get(key)
        return pair[1] if pair else None


Node = Scalar | Sequence | Mapping


def plain_value(text: str) -> Any:
    """Return what an unquoted scalar means under the YAML 1.2 core schema.

    A number with a leading zero stays text. Integers of more than 300 digits become infinite.
    """
    if text[:1] not in _NUMERIC:
        return _WORDS.get(text, text) if len(text) <= _LONGEST_WORD else text
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _MOST_DIGITS else math.inf
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0) if len(text) <= _MOST_DIGITS else math.inf
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 0) if len(text) <= _MOST_DIGITS else math.inf
    if _INFINITE.fullmatch(text):
        return math.inf
    return _WORDS.get(text, text)


def kind(node: Node) -> str:
    """Return the kind of a node in words, e.g. ``a list``, ``text``, ``a number``."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case _:
            return "text"


def to_json(node: Node) -> Any:
    """Return the JSON value of a node; aliased nodes are shared by their users."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {key: to_json(value) for key, (_, value) in node.pairs.items()}
    return [to_json(item) for item in node.items]
