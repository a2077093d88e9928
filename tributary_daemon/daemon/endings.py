"""How a process of the operating system came to its end, in words for people."""

from __future__ import annotations

import signal
from typing import Final

_HINTS: Final = {
    signal.SIGKILL: "killed from outside, by the kernel's out-of-memory killer for instance",
    signal.SIGSEGV: "native code read or wrote where it must not",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "native code used memory that is not there",
    signal.SIGALRM: "an alarm was set and not handled",
}


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
