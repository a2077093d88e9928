"""Array literals for the hot path: psycopg's own dumper takes a third of a process's time there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def plain(items: Iterable[str]) -> str:
    """Return an array literal of texts that need no quotes: ids, words."""
    return "{" + ",".join(items) + "}"


def numbers(items: Iterable[float | None]) -> str:
    """Return an array literal of numbers; None is NULL."""
    return "{" + ",".join(["NULL" if item is None else repr(item) for item in items]) + "}"


def quoted(items: Iterable[str | None]) -> str:
    """Return an array literal of any texts; None is NULL."""
    return "{" + ",".join(["NULL" if item is None else _quote(item) for item in items]) + "}"


def _quote(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return '"' + text.replace('"', '\\"') + '"'
