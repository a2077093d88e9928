"""Array literals for the hot path: psycopg's own dumper takes a third of a process's time there."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable


def plain(items: Iterable[str]) -> str:
    """Return an array literal of texts that need no quotes: ids, words."""
    return "{" + ",".join(items) + "}"


def numbers(items: Iterable[float | None]) -> str:
    """Return an array literal of numbers; None is NULL."""
    found = list(items)
    text = repr(found)[1:-1]
    # no number has these letters
    return "{" + (text.replace("None", "NULL") if None in found else text) + "}"


def quoted(items: Iterable[str | None]) -> str:
    """Return an array literal of any texts; None is NULL."""
    found = list(items)
    if None not in found:
        # NUL, which no text of PostgreSQL has, stands between them: all are escaped at once
        text = "\0".join(cast("list[str]", found))
        if found and text.count("\0") == len(found) - 1:
            return '{"' + _escaped(text).replace("\0", '","') + '"}'
    return "{" + ",".join(["NULL" if item is None else f'"{_escaped(item)}"' for item in found]) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
