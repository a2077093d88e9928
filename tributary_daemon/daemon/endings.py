"""How a process came to its end: the exit codes that mean something, and words for people."""

from __future__ import annotations

import signal
from enum import IntEnum
from typing import Final

_HINTS: Final = {
    signal.SIGKILL: "killed from outside, by the kernel's out-of-memory killer for instance",
    signal.SIGSEGV: "native code read or wrote where it must not",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "native code used memory that is not there",
    signal.SIGALRM: "an alarm was set and not handled",
}


class Exit(IntEnum):
    """Why a process ended, as its exit code."""

    DRAINED = 0
    FAILED = 70
    FENCED = 71
    RETIRED = 72
    ORPHANED = 73
    BROKEN = 74


def how(code: int) -> str:
    """Return ``exit code 3`` or ``signal 9 (SIGKILL): …`` for an exit code; minus a signal's number."""
    if code >= 0:
        return f"exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"signal {-code}"
    hint = _HINTS.get(number)
    return f"signal {-code} ({number.name})" + (f": {hint}" if hint else "")
