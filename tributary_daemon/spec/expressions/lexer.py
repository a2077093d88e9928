"""Text of an expression -> tokens, one at a time."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.values import parse_number

MAX_LENGTH: Final = 21_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STRING = re.compile(r"'(?:[^']|'')*'")
_BOUNDARY = re.compile(r"[\s(\[)\],.!<>=&|]")
_BOUNDARY_OR_DOT = re.compile(r"[\s(\[)\],!<>=&|]")
_CALL = re.compile(r"\s*\(")
_PUNCTUATION = "()[],*"
CONSTANTS: Final[dict[str, Any]] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": math.nan,
    "Infinity": math.inf,
}
_DOUBLES = ("==", "!=", "<=", ">=", "&&", "||", "??")
_SINGLES = "!<>"
ARITHMETIC: Final = "+-*/%"
_HINTS: Final = {
    "=": "values are compared with ==",
    "&": "both: &&",
    "|": "either: ||",
    "?": "write case(condition, then, else), or x ?? fallback for what may be null",
    ":": "write case(condition, then, else)",
    "$": "`${{ }}` does not nest: this is inside an expression already",
    "{": "`${{ }}` does not nest: this is inside an expression already",
    '"': "texts are written in single quotes: 'like this'",
    "`": "texts are written in single quotes: 'like this'",
    **dict.fromkeys(ARITHMETIC, "arithmetic has a space on both sides: a + b"),
}


class Kind(StrEnum):
    """What a token is."""

    LITERAL = "literal"
    NAME = "named value"
    FUNCTION = "function"
    PROPERTY = "property"
    OPERATOR = "operator"
    MARK = "punctuation"
    END = "end"


class Token(NamedTuple):
    """One token.

    Attributes:
        kind: what it is.
        text: its source.
        position: 0-based offset of its first character.
        value: of a literal.
    """

    kind: Kind
    text: str
    position: int
    value: Any = None


class Lexer:
    """Reads one token after the other; an unreadable one raises only when it is reached."""

    def __init__(self, source: str) -> None:
        if len(source) > MAX_LENGTH:
            raise ExpressionError("parsing", f"Exceeded max expression length {MAX_LENGTH}")
        self.source = source
        self._offset = 0
        self._last: Token | None = None

    def next(self) -> Token:
        """Return the next token; at the end one of kind END, again and again.

        Raises:
            ExpressionError: no token starts here.
        """
        source, start = self.source, self._offset
        while start < len(source) and source[start].isspace():
            start += 1
        token = self._read(start) if start < len(source) else Token(Kind.END, "", start)
        self._offset = start + len(token.text)
        self._last = token
        return token

    def _read(self, start: int) -> Token:
        letter = self.source[start]
        if letter in ARITHMETIC and self._is_arithmetic(start):
            return Token(Kind.OPERATOR, letter, start)
        if letter in _PUNCTUATION:
            return Token(Kind.MARK, letter, start)
        if letter == "'":
            return self._string(start)
        if self.source[start : start + 2] in _DOUBLES:
            return Token(Kind.OPERATOR, self.source[start : start + 2], start)
        if letter in _SINGLES:
            return Token(Kind.OPERATOR, letter, start)
        if letter == "." and not self._operand_due():
            return Token(Kind.MARK, letter, start)
        if letter in "0123456789" or (letter in "+-." and self._operand_due()):
            return self._number(start)
        return self._word(start)

    def _operand_due(self) -> bool:
        last = self._last
        return last is None or last.kind is Kind.OPERATOR or (last.kind is Kind.MARK and last.text in "([,")

    def _is_arithmetic(self, start: int) -> bool:
        """Return whether a sign between spaces stands behind an operand."""
        last = self._last
        if last is None or last.kind is Kind.OPERATOR or (last.kind is Kind.MARK and last.text in "([,."):
            return False
        behind = self.source[start + 1 : start + 2]
        return self.source[start - 1].isspace() and (not behind or behind.isspace())

    def _string(self, start: int) -> Token:
        found = _STRING.match(self.source, start)
        if found is None:
            raise self.unexpected(self.source[start:], start, "lexing", hint="a closing ' is missing")
        return Token(Kind.LITERAL, found.group(), start, found.group()[1:-1].replace("''", "'"))

    def _number(self, start: int) -> Token:
        text = self._until(_BOUNDARY_OR_DOT, start)
        value = parse_number(text)
        if math.isnan(value):
            raise self.unexpected(text, start, "lexing", hint=_hint(text))
        return Token(Kind.LITERAL, text, start, value)

    def _word(self, start: int) -> Token:
        text = self._until(_BOUNDARY, start)
        if not _NAME.fullmatch(text):
            raise self.unexpected(text, start, "lexing", hint=_hint(text))
        last = self._last
        if last is not None and last.kind is Kind.MARK and last.text == ".":
            return Token(Kind.PROPERTY, text, start)
        if text in CONSTANTS:
            return Token(Kind.LITERAL, text, start, CONSTANTS[text])
        kind = Kind.FUNCTION if _CALL.match(self.source, start + len(text)) else Kind.NAME
        return Token(kind, text, start)

    def _until(self, boundary: re.Pattern[str], start: int) -> str:
        found = boundary.search(self.source, start + 1)
        return self.source[start : found.start() if found else len(self.source)]

    def unexpected(self, text: str, position: int, kind: str, *, hint: str | None = None) -> ExpressionError:
        """Return the error for a symbol that cannot stand at ``position``."""
        return ExpressionError(
            kind, f"Unexpected symbol: '{text}'. {self.place(position)}", position=position, hint=hint
        )

    def place(self, position: int) -> str:
        """Return the words that locate ``position`` in the expression."""
        return f"Located at position {position + 1} within expression: {self.source}"


def _hint(text: str) -> str | None:
    """Return what was probably meant by a word that is none."""
    if text[0] == "-" and len(text) > 1 and (text[1].isalpha() or text[1] in "_("):
        return "`-` stands before numbers only; write 0 - x"
    found = next((text[index] for index in range(len(text)) if text[index] in ARITHMETIC), None)
    return _HINTS.get(text[0]) or _HINTS.get(found or "")
