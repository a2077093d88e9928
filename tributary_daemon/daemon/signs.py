"""Signs of life from a process to its supervisor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY: Final = 0.5
_CHANGE: Final = 0.05


class Signs:
    """Sends a sign at least every half second of work, and soon when saturation or trouble ends or begins.

    Args:
        send: takes the message.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._at = 0.0
        self._saturated = False
        self._trouble: str | None = None

    def give(self, saturated: bool, trouble: str | None = None) -> None:  # noqa: FBT001 - what a sign says
        """Take note of one turn of the database thread, and of what is wrong with the database."""
        now = time.monotonic()
        eased = (self._saturated and not saturated) or trouble != self._trouble
        if now - self._at >= (_CHANGE if eased else _EVERY):
            self._at = now
            self._saturated = saturated
            self._trouble = trouble
            self._send({"say": "sign", "saturated": saturated, "trouble": trouble})
