"""Array literals for the hot path: psycopg's own dumper takes a third of a process's time there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


# texts that are escaped together, so that what is copied stays in the caches; long ones go alone
_AT_ONCE: Final = 64
_LONG: Final = 4096


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
    return "{" + ",".join([_quoted(found[at : at + _AT_ONCE]) for at in range(0, len(found), _AT_ONCE)]) + "}"


def _quoted(items: list[str | None]) -> str:
    texts = [item for item in items if item is not None]
    if len(texts) == len(items) and len(max(texts, key=len)) < _LONG:
        # NUL, which no text of PostgreSQL has, stands between them: all are escaped at once
        text = "\0".join(texts)
        if text.count("\0") == len(texts) - 1:
            return '"' + _escaped(text).replace("\0", '","') + '"'
    return ",".join(["NULL" if item is None else f'"{_escaped(item)}"' for item in items])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
