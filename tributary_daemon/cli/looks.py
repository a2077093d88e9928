"""How states, times and texts look: glyphs, words of style, shortening. Standard library only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from tributary_daemon.cli.blocks import Span
from tributary_daemon.model import durations

GLYPHS: Final = {
    "blocked": ("·", "."),
    "scheduled": ("◷", "@"),
    "available": ("○", "o"),
    "running": ("●", "*"),
    "waiting": ("◌", "~"),
    "paused": ("‖", "="),
    "completed": ("✔", "+"),
    "skipped": ("↷", ">"),
    "cancelled": ("⊘", "/"),
    "discarded": ("✘", "x"),
    "failed": ("✘", "x"),
}
"""state -> (glyph, glyph for terminals without Unicode)."""

STYLES: Final = {
    "blocked": "dim",
    "scheduled": "blue",
    "available": "cyan",
    "running": "bold yellow",
    "waiting": "blue",
    "paused": "blue",
    "completed": "green",
    "skipped": "dim",
    "cancelled": "magenta",
    "discarded": "bold red",
    "failed": "bold red",
    "label": "dim",
    "faint": "dim",
    "id": "cyan",
    "name": "bold",
    "bad": "red",
    "warning": "yellow",
    "good": "green",
    "next": "bold",
}
"""word of style -> what the terminal does; states are words of style too."""

_STEP: Final = 1024
_UNITS: Final = ("B", "KiB", "MiB", "GiB")

ENDED: Final = frozenset({"completed", "skipped", "cancelled", "discarded", "failed"})


def glyph(state: str, *, unicode: bool = True) -> str:
    """Return the one character that stands for ``state``."""
    fancy, ascii_ = GLYPHS.get(state, ("?", "?"))
    return fancy if unicode else ascii_


def state(value: str) -> Span:
    """Return a state in its colour."""
    return Span(value, value if value in GLYPHS else "")


def moment(text: str | None) -> datetime | None:
    """Return an RFC 3339 time as a datetime, None for None."""
    return datetime.fromisoformat(text) if text else None


def took(started: str | None, finished: str | None, now: datetime) -> str:
    """Return how long something took, or has been running until ``now``; empty when it never started."""
    start = moment(started)
    if start is None:
        return ""
    end = moment(finished) or now
    return durations.text(max((end - start).total_seconds(), 0.0))


def ago(text: str | None, now: datetime) -> str:
    """Return a time as ``3m12s ago`` or ``in 45.0s``; empty for None."""
    at = moment(text)
    if at is None:
        return ""
    seconds = (now - at).total_seconds()
    return f"{durations.text(seconds)} ago" if seconds >= 0 else f"in {durations.text(-seconds)}"


def clock(text: str | None) -> str:
    """Return a time to the second, in UTC as stored: ``2026-11-21 04:05:06Z``."""
    at = moment(text)
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def now() -> datetime:
    """Return the present time of this machine, aware, in UTC."""
    return datetime.now(UTC)


def compact(value: Any, limit: int = 0) -> str:
    """Return a JSON value on one line, cut to ``limit`` characters (0: whole)."""
    return cut(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), limit)


def size(count: int) -> str:
    """Return a number of bytes for people: ``1.5 MiB``."""
    amount, unit = float(count), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.4g} {_UNITS[unit]}"


def spread(value: Any, width: int) -> list[str]:
    """Return a JSON value on one line if it fits ``width`` characters, else indented, line by line."""
    text = compact(value)
    if len(text) <= width or not isinstance(value, (dict, list)):
        return [text]
    return json.dumps(value, ensure_ascii=False, indent=2).splitlines()


def cut(text: str, limit: int) -> str:
    """Return the text on one line and not longer than ``limit`` characters (0: as long as it is)."""
    text = " ".join(text.split())
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def fault(error: dict[str, Any] | None, limit: int = 0) -> str:
    """Return an error document on one line: ``ValueError: bad email (timeout)``; empty for None."""
    if not error:
        return ""
    kind, message, reason = error.get("type"), error.get("message") or "", error.get("reason")
    text = f"{kind}: {message}" if kind and message else str(kind or message)
    if reason and reason not in text:
        text += f" ({reason})"
    return cut(text, limit)


def awaits(wait: dict[str, Any]) -> str:
    """Return what a step waits for: ``for signal packed, until 2026-11-21 04:05:06Z``."""
    words = []
    if wait["for"] != "timer":
        words.append(f"for signal {wait['signal']}" if wait["for"] == "signal" else "for approval")
    if wait.get("until"):
        words.append(f"until {clock(wait['until'])}")
    return ", ".join(words)


def visible(text: str) -> str:
    """Return text that cannot steer a terminal: control characters are spelled out."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else f"\\x{ord(character):02x}"
        for character in text
    )
