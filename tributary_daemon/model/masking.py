"""Masking: known secret values become ``***`` in texts, in JSON values and in streams of bytes.

Pure and quick: without a hit a text costs one search per value (``in``, done by the C library).
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T", str, bytes)

MARK: Final = "***"
SHORTEST: Final = 3
"""Values shorter than this are not masked: they would hide every other word, and so give themselves away."""

_DEEPEST: Final = 20


class Mask:
    """The secret values of one attempt.

    Masked are the values themselves, each line of one that has several, and what becomes of them inside
    JSON and inside a URL.

    Args:
        values: the secrets.
    """

    __slots__ = ("_forms", "_raw")

    def __init__(self, values: Iterable[str]) -> None:
        found: set[str] = set()
        for value in values:
            for part in (value, value.strip(), *value.split("\n")):
                text = part.rstrip("\r")
                found |= {
                    text,
                    json.dumps(text)[1:-1],
                    json.dumps(text, ensure_ascii=False)[1:-1],
                    _in_url(text),
                }
        self._forms = tuple(
            sorted((form for form in found if len(form) >= SHORTEST), key=lambda form: (-len(form), form))
        )
        self._raw = tuple(form.encode("utf-8", "surrogatepass") for form in self._forms)

    def __repr__(self) -> str:
        return f"Mask({len(self._forms)} forms)"

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return a text with every occurrence of a value replaced."""
        hits = [form for form in self._forms if form in text]
        return _covered(text, _spans(text, hits), MARK) if hits else text

    def value(self, value: Any, level: int = 0) -> Any:
        """Return a JSON value with all of its texts masked, keys included."""
        match value:
            case str():
                return self.text(value)
            case dict() if level < _DEEPEST:
                return {
                    self.text(key) if isinstance(key, str) else key: self.value(part, level + 1)
                    for key, part in value.items()
                }
            case list() | tuple() if level < _DEEPEST:
                return [self.value(part, level + 1) for part in value]
        return value

    def stream(self) -> MaskedStream:
        """Return a filter for one stream of bytes; a value may be split over any number of its pieces."""
        return MaskedStream(self._raw)


class MaskedStream:
    """Masks a stream piece by piece.

    The end of a piece that could be the beginning of a value is held back until it is known to be none.

    Args:
        values: as they stand in the stream.
    """

    __slots__ = ("_covered", "_held", "_values")

    def __init__(self, values: Sequence[bytes]) -> None:
        self._values = values
        self._held = b""
        # how much of what is held belongs to a value that was written as `***` already
        self._covered = 0

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what is certain by now, masked."""
        whole = self._held + data
        return self._upto(whole, len(whole) - _beginning(whole, self._values))

    def close(self) -> bytes:
        """Return what was held back: nothing follows."""
        return self._upto(self._held, len(self._held))

    def _upto(self, whole: bytes, cut: int) -> bytes:
        spans = _spans(whole, [value for value in self._values if value in whole])
        if self._covered:
            spans = _merged([(0, self._covered), *spans])
        out: list[bytes] = []
        place = self._covered
        for start, end in spans:
            if start >= cut:
                break
            if start > 0 or not self._covered:
                out += [whole[place:start], MARK.encode()]
            place = end
        out.append(whole[place:cut])
        self._held, self._covered = whole[cut:], max(0, place - cut)
        return b"".join(out)


BOUND: Final[ContextVar[Mask | None]] = ContextVar("tributary_mask", default=None)
"""The mask of the attempt whose code runs here; the logs of the process look at it."""


def _in_url(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _spans(text: T, values: Sequence[T]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for value in values:
        at = text.find(value)
        while at >= 0:
            found.append((at, at + len(value)))
            at = text.find(value, at + 1)
    return _merged(found)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch as one: values may overlap."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _covered(text: T, spans: Sequence[tuple[int, int]], mark: T) -> T:
    out: list[T] = []
    place = 0
    for start, end in spans:
        out += [text[place:start], mark]
        place = end
    out.append(text[place:])
    return type(text)().join(out)


def _beginning(data: bytes, values: Sequence[bytes]) -> int:
    """Return the length of the longest end of ``data`` that begins a value, but is not all of it."""
    longest = 0
    for value in values:
        tail = data[max(0, len(data) - len(value) + 1) :]
        at = tail.find(value[:1])
        while at >= 0 and len(tail) - at > longest:
            if value.startswith(tail[at:]):
                longest = len(tail) - at
                break
            at = tail.find(value[:1], at + 1)
    return longest
