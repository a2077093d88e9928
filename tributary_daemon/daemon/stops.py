"""Requests to stop: signals are only noted here, and wake the loop of the supervisor."""

from __future__ import annotations

import selectors
import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_SAME_SIGNAL: Final = 0.1


class Stops:
    """Counts requests to stop: the first drains, a second one ends at once.

    Attributes:
        count: requests so far.

    Args:
        selector: woken by a request.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.count = 0
        self._selector = selector
        self._signal_at = 0.0
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)
        selector.register(self._ends[0], selectors.EVENT_READ, self)

    def request(self, count: int = 1) -> None:
        """Ask for a stop. For any thread and for signal handlers."""
        self.count += count
        # it may be full of nudges already, or the worker has ended
        with suppress(OSError):
            self._ends[1].send(b"!")

    def take_signals(self) -> None:
        """Let SIGTERM and SIGINT be such requests."""
        signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def leave_signals(self) -> None:
        """Wake nobody any more; a signal that comes now finds the end of the worker."""
        signal.set_wakeup_fd(-1)

    def heard(self) -> None:
        """Take what woke the loop."""
        try:
            while self._ends[0].recv(4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close both ends."""
        for end in self._ends:
            end.close()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # `timeout` and some shells send one stop twice, to the process and to its group
        now = time.monotonic()
        if now - self._signal_at > _SAME_SIGNAL:
            self.request()
        self._signal_at = now
