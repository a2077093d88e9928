"""Durations as users write them: ``500ms 30s 5m 1h30m 2d``, or whole seconds."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from tributary_daemon.errors import InvalidInput

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[dhms]))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
MAX_SECONDS = 10 * 366 * 86_400.0
_LONGEST = 60


def seconds(value: object) -> float:
    """Return a duration in seconds.

    Args:
        value: a number of seconds, a timedelta, or text such as ``"1h30m"`` or ``"90"``; of what comes from a
            file it may be anything else.

    Raises:
        InvalidInput: negative, not finite, longer than ten years, or not a duration.
    """
    match value:
        case timedelta():
            result = value.total_seconds()
        case int() | float() if not isinstance(value, bool):
            # an integer may be larger than any float
            result = float(value) if -MAX_SECONDS <= value <= MAX_SECONDS else math.inf
        case str():
            result = _parse(value)
        case _:
            raise _refused(value)
    if not math.isfinite(result) or not 0 <= result <= MAX_SECONDS:
        raise InvalidInput(
            f"duration {_shown(value)} is out of range", hint="durations lie between 0 and ten years"
        )
    return result


def _parse(text: str) -> float:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise _refused(text)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _shown(value: object) -> str:
    # an integer of thousands of digits refuses to become text
    text = "(a huge number)" if isinstance(value, int) and abs(value) >= 1 << 63 else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _refused(value: object) -> InvalidInput:
    return InvalidInput(
        f"{_shown(value)} is not a duration", hint="write 500ms, 30s, 5m, 1h30m, 2d, or whole seconds"
    )


def text(value: float) -> str:
    """Return ``value`` seconds as people read them: ``340ms``, ``4.2s``, ``3m12s``, ``2h05m``, ``3d4h``."""
    if value < 1:
        return f"{value * 1000:.0f}ms"
    if value < _UNITS["m"]:
        return f"{value:.1f}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
