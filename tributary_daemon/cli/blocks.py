"""What a person is shown, as plain values: lines and tables. ``paint`` puts them on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of text with one style (a word that ``looks`` defines; empty for none)."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings.

    Attributes:
        columns: headings.
        rows: a cell per column.
        right: headings of the columns that are aligned to the right.
        empty: the sentence shown instead of a table without rows.
        giving: headings of the columns that are cut where the terminal is narrow, the others then never are;
            without any all are cut alike.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]
    right: frozenset[str] = frozenset()
    empty: str = "nothing to show"
    giving: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text, in order."""

    lines: tuple[Line, ...]


Block = Table | Lines


def line(*parts: str | Span) -> Line:
    """Return a line of strings (plain) and spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def pairs(*rows: tuple[str, str | Span | None]) -> Lines:
    """Return ``key  value`` lines with aligned values; a row whose value is None or empty is left out."""
    kept = [(key, value) for key, value in rows if value]
    width = max((len(key) for key, _ in kept), default=0)
    return Lines(
        tuple(
            line(Span(key.ljust(width + 2), "label"), value if isinstance(value, Span) else Span(value or ""))
            for key, value in kept
        )
    )


def plain(value: Line) -> str:
    """Return the text of a line without styles."""
    return "".join(span.text for span in value)
