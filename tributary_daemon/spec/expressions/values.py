"""Kinds of values, their conversions and their comparison, as the expression language has them."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError

# one way to match each text: an optional point between two runs of digits would try all their splits
_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_OCTAL = re.compile(r"0o[0-7]+")
_CONSTANTS: Final = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_EXACT = 2**53
_PLAIN_DIGITS = 1e15
# str() of an integer refuses more than 4,300 digits
_MOST_BITS: Final = 14_000
# their upper case is an ASCII letter, which would make foreign letters equal to ours
_NO_UPPER: Final = ("\u0131", "\u017f")


def kind_of(value: Any) -> str:
    """Return ``Null``, ``Boolean``, ``Number``, ``String``, ``Array`` or ``Object``.

    Raises:
        ExpressionError: the value is not JSON.
    """
    match value:
        case None:
            return "Null"
        case bool():
            return "Boolean"
        case int() | float():
            return "Number"
        case str():
            return "String"
        case list() | tuple():
            return "Array"
        case dict():
            return "Object"
    raise ExpressionError("evaluation", f"a value of type {type(value).__name__} is not JSON")


def fold(text: str) -> str:
    """Return ``text`` as it is compared: upper case, letter by letter, never changing the length."""
    upper_case = text.upper()
    if text.isascii():
        return upper_case
    # no letter's upper case is shorter than the letter
    if len(upper_case) == len(text) and not any(letter in text for letter in _NO_UPPER):
        return upper_case
    return "".join(
        upper if len(upper := letter.upper()) == 1 and letter not in _NO_UPPER else letter for letter in text
    )


def truthy(value: Any) -> bool:
    """Return whether a value counts as true: all but null, false, 0, NaN and the empty text."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return True if isinstance(value, (list, tuple, dict)) else bool(value)


def parse_number(text: str) -> float:
    """Return the number that ``text`` spells (whole ones as int), NaN when it spells none."""
    if _DECIMAL.fullmatch(text):
        return whole(float(text))
    if _HEX.fullmatch(text):
        return _of_base(text, 16)
    if _OCTAL.fullmatch(text):
        return _of_base(text, 8)
    return _CONSTANTS.get(text, math.nan)


def _of_base(text: str, base: int) -> float:
    try:
        return whole(float(int(text[2:], base)))
    except OverflowError:
        return math.inf


def whole(number: float) -> float:
    """Return a whole number as an integer, where floats are exact; others as they are."""
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def to_number(value: Any) -> float:
    """Convert any value to a number: null and blank text are 0, arrays and objects NaN."""
    match value:
        case None:
            return 0
        case bool():
            return int(value)
        case int() | float():
            return value
        case str():
            stripped = value.strip()
            return parse_number(stripped) if stripped else 0
    return math.nan


def number_text(number: float) -> str:
    """Return a number as text: at most 15 digits, integers from JSON in full.

    Raises:
        ExpressionError: an integer of thousands of digits.
    """
    if isinstance(number, int):
        if number.bit_length() > _MOST_BITS:
            raise ExpressionError("evaluation", "an integer of more than 4,200 digits cannot become text")
        return str(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < _PLAIN_DIGITS:
        return str(int(number))
    return f"{number:.15g}".upper()


def to_text(value: Any) -> str:
    """Convert any value to text: null is empty, arrays and objects are named by their kind."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
    return kind_of(value)


def equal(left: Any, right: Any) -> bool:
    """Compare as ``==`` does: text without case, arrays and objects by identity, else as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        # folding never changes the length
        return len(left) == len(right) and fold(left) == fold(right)
    if isinstance(left, (list, tuple, dict)) or isinstance(right, (list, tuple, dict)):
        return left is right
    return to_number(left) == to_number(right)


def greater(left: Any, right: Any) -> bool:
    """Compare as ``>`` does."""
    if isinstance(left, str) and isinstance(right, str):
        return fold(left) > fold(right)
    return to_number(left) > to_number(right)
