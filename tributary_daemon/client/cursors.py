"""Cursors of pages: their parts, joined by slashes."""

from __future__ import annotations

from datetime import datetime

from tributary_daemon.errors import InvalidInput


def parts(cursor: str, count: int) -> list[str]:
    """Return the parts of a cursor.

    Raises:
        InvalidInput: it has another number of them.
    """
    found = cursor.split("/")
    if len(found) != count:
        raise no_cursor(cursor)
    return found


def moment(text: str, cursor: str) -> datetime:
    """Return the time that a part of a cursor says."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise no_cursor(cursor) from None


def whole(text: str, cursor: str) -> int:
    """Return the whole number that a part of a cursor says."""
    try:
        return int(text)
    except ValueError:
        raise no_cursor(cursor) from None


def no_cursor(cursor: str) -> InvalidInput:
    """Return the error for what is no cursor."""
    return InvalidInput(f"{cursor!r} is no cursor", hint="use the `after` of the page before")
